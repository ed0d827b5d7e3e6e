"""A search whose trials take no time: what training would give follows from the transforms alone."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from workbench.estimators.random_networks import sample
from workbench.estimators.weight_distributions import NORMAL
from workbench.forecast.zero_shot import TOGETHER
from workbench.hardware import resolve
from workbench.search.candidates import Candidates, additive_losses
from workbench.search.loop import Search
from workbench.search.options import Options
from workbench.search.order import Answer, Order, Work
from workbench.search.score_files import score_file
from workbench.search.storage import create_store, open_store, storage_url
from workbench.search.strategies import strategy_of
from workbench.space import catalogue, prices
from workbench.training import Score
from workbench.training.evidence import Hits, Means

PICTURES = 400
BASE = 0.8


def number_of(*parts):
    """A number in [0, 1) that follows from the parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def truth(transforms):
    """Accuracy: every transform takes something, some nothing."""
    return BASE - sum(max(0.0, 0.05 * number_of(json.dumps(step)) - 0.01) for step in transforms)


def train(order):
    accuracy = truth(order.transforms)
    right = np.random.default_rng(0).permutation(PICTURES) < round(accuracy * PICTURES)
    score = Score("t", "a", float(right.mean()), PICTURES, "float", "val", "d", False, Hits(right), Means(1.0 - right))
    low, high = score.interval
    first = accuracy - 0.1
    epochs = 1 if first < order.floor else order.options["epochs"]
    result = {"accuracy": score.value, "low": low, "high": high, "pictures": PICTURES, "loss": 1 - score.value,
              "metric": "a", "first_epoch": first, "epochs": epochs, "floor": order.floor, "seed": order.seed,
              "source": "t, 2 epochs", "seconds": 0.0}  # fmt: skip
    return Answer(result, json.dumps(order.transforms).encode(), score_file(score))


def score(order):
    accuracy = truth(order.transforms)
    return Answer({f"zero_shot/{name}": accuracy + 0.02 * number_of(name, order.transforms) for name in TOGETHER})


def test_part(order):
    return Answer({"accuracy": truth(order.transforms) - 0.01, "low": 0.0, "high": 1.0, "pictures": PICTURES})


WORK = Work(score, train, test_part)


@pytest.fixture(scope="session")
def candidates():
    graph, target = sample(3), resolve("ethos-u65-512")
    space = catalogue(graph, target)
    costs, losses = prices(space, graph, target), additive_losses(space, graph, target, None)
    return Candidates(space, graph, target, NORMAL, costs, losses, Options().limits)


@pytest.fixture
def searched(candidates, tmp_path):
    """Function of options, work and executor: the store after the search, in `tmp_path`/study.db."""

    def search(work=WORK, executor=None, width=1, candidates=candidates, **options):
        options = Options(**options)
        path = tmp_path / "study.db"
        store = (
            open_store(path)
            if path.exists()
            else create_store(storage_url(path), "study", options.objectives, {"study": {}, "request": "run"})
        )
        order = Order(b"", "t", (), options.seed, options.to_dict())
        with ThreadPoolExecutor(1) as threads:
            parts = candidates, strategy_of(options.strategy), work, executor or threads, order, width
            Search(store, options, *parts).run()
        return store

    return search
