"""What a network costs over its channels and its depth, and how rugged that is.

    x          channels: all widths times x / FINEST, from one half to the whole           [X]
    y          blocks: the whole network, and with more and more residual blocks left out  [Y]
    c[y, x]    cost: milliseconds, estimated, or multiply-accumulates
    s[y, x]    size: multiply-accumulates
    pairs      neighbours of one step in x or in y whose sizes differ

    ruggedness = share of the pairs whose smaller network costs more

Multiply-accumulates have a ruggedness of zero by definition. An accelerator computes channels in groups: one channel
more begins another group, and its padding, blocks and stripes may fit a wider network better than a narrower one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import NotApplicable
from ..estimators import WeightValues, estimate
from ..estimators.weight_distributions import NORMAL
from ..graph import Graph, rewrite
from ..hardware import Target
from ..transforms import DepthMultiplier, DropBlock, EvenChannels
from .network_slots import FINEST

__all__ = ["Landscape", "landscape", "ruggedness"]

_LEVELS = 6  # of depth


def ruggedness(smaller: np.ndarray, larger: np.ndarray) -> float:
    """Share of pairs of networks whose smaller one costs more; NaN where there is no pair.

    >>> ruggedness(np.array([1.0, 2.5]), np.array([2.0, 2.0]))
    0.5
    """
    return float(np.mean(smaller > larger)) if len(smaller) else float("nan")


@dataclass(frozen=True, eq=False)
class Landscape:
    """Networks of fewer and fewer channels and blocks, and their cost.

    channels: share of the widths, rising to 1 [X]. blocks: how many, rising [Y]. latency_ms, macs: of each [Y, X].
    """

    channels: np.ndarray
    blocks: np.ndarray
    latency_ms: np.ndarray
    macs: np.ndarray

    @cached_property
    def ruggedness(self) -> float:
        """Share of the neighbours of one step whose smaller network is slower."""
        return ruggedness(*self.pairs)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds of (smaller, larger) networks of one step; pairs of the same size are none."""
        small: list[np.ndarray] = []
        large: list[np.ndarray] = []
        for axis in (0, 1):
            below = [slice(None, -1) if i == axis else slice(None) for i in (0, 1)]
            above = [slice(1, None) if i == axis else slice(None) for i in (0, 1)]
            macs, latency = (
                (table[tuple(below)].ravel(), table[tuple(above)].ravel()) for table in (self.macs, self.latency_ms)
            )
            for first, second in ((0, 1), (1, 0)):
                smaller = macs[first] < macs[second]
                small.append(latency[first][smaller])
                large.append(latency[second][smaller])
        return np.concatenate(small), np.concatenate(large)

    @property
    def favoured(self) -> "Landscape":
        """Without the widths at which a network, of any depth, is no faster than at the next larger one that stays.

        That is what curation does to the choices of a slot.
        """
        columns = [len(self.channels) - 1]
        for x in range(len(self.channels) - 2, -1, -1):
            if np.all(self.latency_ms[:, x] < self.latency_ms[:, columns[-1]]):
                columns.append(x)
        columns.reverse()
        return Landscape(self.channels[columns], self.blocks, self.latency_ms[:, columns], self.macs[:, columns])

    def descent(self) -> tuple[tuple[int, int], ...]:
        """(y, x) of the networks that a descent visits from the largest one: always to the neighbour a step smaller
        that saves most time for the arithmetic it gives up; it ends where neither is faster.
        """
        place = len(self.blocks) - 1, len(self.channels) - 1
        path = [place]
        while steps := [step for step in self._smaller(*place) if self.latency_ms[step] < self.latency_ms[place]]:
            saved = {step: self.latency_ms[place] - self.latency_ms[step] for step in steps}
            place = max(steps, key=lambda step: saved[step] / max(1.0, self.macs[path[-1]] - self.macs[step]))
            path.append(place)
        return tuple(path)

    def _smaller(self, y: int, x: int) -> Iterator[tuple[int, int]]:
        """One block fewer, and the next narrower network that is another one."""
        if y:
            yield y - 1, x
        narrower = np.flatnonzero(self.macs[y, :x] < self.macs[y, x])
        if len(narrower):
            yield y, int(narrower[-1])


def landscape(graph: Graph, target: Target, multiple: int = 1, values: WeightValues = NORMAL) -> Landscape:
    """The landscape of a network on a target; 33 widths by up to six depths, each network estimated whole.

    multiple: all widths are multiples of so many channels. 1 goes channel by channel; of `target.channel_multiple`,
    `favoured` is the curated landscape. Residual blocks are left out from the last one on. values: how weights
    are distributed. Raises WorkbenchError for a target without estimates.
    """
    shapes = [(len(g.blocks), g) for g in _shallower(graph, target)][::-1]
    ratios = np.arange(FINEST // 2, FINEST + 1) / FINEST
    latency, macs = np.zeros((2, len(shapes), len(ratios)))
    for y, (_, shallow) in enumerate(shapes):
        costs: dict[Graph, float] = {}
        for x, ratio in enumerate(ratios):
            network = _scaled(shallow, target, float(ratio), multiple)
            if network not in costs:
                costs[network] = estimate(network, target, values).latency_ms
            latency[y, x], macs[y, x] = costs[network], network.macs
    return Landscape(ratios, np.array([blocks for blocks, _ in shapes]), latency, macs)


def _shallower(graph: Graph, target: Target) -> Iterator[Graph]:
    """The network, and with one residual block after another left out, from the last one on."""
    yield graph
    levels = 1
    for block in graph.blocks[::-1]:
        try:
            graph = rewrite(graph, DropBlock(block.name).plan(graph, target))
        except NotApplicable:
            continue
        yield graph
        levels += 1
        if levels == _LEVELS:
            return


def _scaled(graph: Graph, target: Target, ratio: float, multiple: int) -> Graph:
    for transform in (DepthMultiplier(ratio, multiple=multiple), EvenChannels("nearest", multiple)):
        try:
            graph = rewrite(graph, transform.plan(graph, target))
        except NotApplicable:  # nothing to scale at a ratio of one, nothing to even
            continue
    return graph
