"""A bounded cache of estimates, one for every kind of target.

An estimate is kept under everything it depends on, so that a kept one is never out of date:

    graph       digest of its operators, and the hash of its module tree, which names the blocks
    target      its name and digest
    values      the object that knows how weights are distributed, by identity. It is held weakly: the model behind it
                can go, and then its estimates do
    evidence    stamp of the files the estimate is made from: kept compiles and calibrations
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from weakref import ref

from ..graph import Graph
from ..hardware import Target
from .estimate import Estimate
from .weight_distributions import WeightValues

__all__ = ["EstimateCache"]

_Key = tuple[ref[WeightValues], str, int, str, str, str]


class EstimateCache:
    """The `capacity` estimates that were used last.

    >>> from workbench.estimators.ethos_u import estimate
    >>> from workbench.estimators.random_networks import sample
    >>> from workbench.estimators.weight_distributions import NORMAL
    >>> from workbench.hardware import EthosU
    >>> cache, graph, target = EstimateCache(2), sample(0), EthosU("ethos-u55-128")
    >>> first = cache.get(graph, target, NORMAL, "", lambda: estimate(graph, target, NORMAL))
    >>> cache.get(graph, target, NORMAL, "", lambda: estimate(graph, target, NORMAL)) is first
    True
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._estimates: OrderedDict[_Key, Estimate] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._estimates)

    def get(
        self, graph: Graph, target: Target, values: WeightValues, evidence: str, compute: Callable[[], Estimate]
    ) -> Estimate:
        """The kept estimate; where there is none, what `compute` returns, which is then kept."""
        key = (ref(values), graph.digest, hash(graph), target.name, target.digest, evidence)
        with self._lock:
            if key in self._estimates:
                self._estimates.move_to_end(key)
                return self._estimates[key]
        estimate = compute()
        with self._lock:
            self._estimates[key] = estimate
            self._shrink()
        return estimate

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._estimates.clear()

    def _shrink(self) -> None:
        """Drop estimates of weights that are gone, then those used longest ago."""
        for key in [key for key in self._estimates if key[0]() is None]:
            del self._estimates[key]
        while len(self._estimates) > self.capacity:
            self._estimates.popitem(last=False)
