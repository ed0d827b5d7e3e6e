"""Trials of a search that take no time: what training would give follows from the transforms alone."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import workbench as wb
from workbench.forecast.zero_shot import TOGETHER
from workbench.search.candidates import Candidates, additive_losses
from workbench.search.loop import Search
from workbench.search.options import Options
from workbench.search.order import Answer, Order, Work
from workbench.search.score_files import score_file
from workbench.search.storage import create_store, storage_url
from workbench.search.strategies import strategy_of
from workbench.session.searched import Searched
from workbench.session.study import study_of
from workbench.space import Space, prices
from workbench.training import Score
from workbench.training.evidence import Hits, Means

__all__ = ["WORK", "instant_study", "score", "test_part", "train"]

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


def instant_study(session: wb.Session, space: Space, path: Path, **options: object) -> "wb.session.Study[wb.Session]":
    """The study of a search of `session` that has ended; path: its .db file."""
    chosen = Options(**options)  # type: ignore[arg-type]
    facts = {"study": {"task": "digits"}, "request": "run", "status": {"stage": "done", "text": ""}}
    store = create_store(storage_url(path), path.stem, chosen.objectives, facts)
    graph, target, values = session.graph, session.target, session.weight_values
    costs, losses = prices(space, graph, target, values), additive_losses(space, graph, target, None)
    candidates = Candidates(space, graph, target, values, costs, losses, chosen.limits)
    with ThreadPoolExecutor(1) as threads:
        order = Order(b"", "t", (), chosen.seed, chosen.to_dict())
        Search(store, chosen, candidates, strategy_of(chosen.strategy), WORK, threads, order, 1).run()
    store.note("status", {"stage": "done", "text": ""})
    return study_of(Searched(store, session, space, chosen))
