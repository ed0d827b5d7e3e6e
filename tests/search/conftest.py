"""A search whose trials take no time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from workbench.estimators.random_networks import sample
from workbench.estimators.weight_distributions import NORMAL
from workbench.hardware import resolve
from workbench.search.candidates import Candidates, additive_losses
from workbench.search.loop import Search
from workbench.search.options import Options
from workbench.search.order import Order
from workbench.search.storage import create_store, open_store, storage_url
from workbench.search.strategies import strategy_of
from workbench.space import catalogue, prices

from ..instant_trials import WORK


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
