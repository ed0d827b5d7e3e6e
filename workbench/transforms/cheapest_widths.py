"""Even widths, up or down each, of least latency for at least the work the network does now.

Per segment s, or set of equal parts, one of its even widths is taken, x[s] = 1 where it is not the one of the network
at hand. With t, p and m the changes of latency, parameters and multiply-accumulates that this alone makes, P and M what
is missing of the original's, an integer program (`choices.py`) finds

    min  sum t x     so that   sum p x >= P,   sum m x >= M   (and, of SRAM and weights, <= what is left of the budget)

Neighbouring widths multiply, so the changes do not quite add up: what was chosen is estimated whole, a bound it missed
is tightened, and the changes are taken again around the best so far until nothing better turns up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..choices import Bound, choose
from ..errors import NotApplicable
from ..estimators import Budgets, delta_ms, estimate
from ..graph import Graph, Plan, Resize, rewrite
from ..hardware import Target

__all__ = ["cheapest_widths"]

_ROUNDS = 6  # networks around which changes are taken
_TRIES = 4  # programs a round, bounds tightened in between
_MISSED = 1e3  # what a budget missed by its whole costs, in latencies of the network

Segments = tuple[str, ...]
Widths = tuple[int, ...]


def cheapest_widths(
    graph: Graph, target: Target, choices: Mapping[Segments, Sequence[int]], budgets: Budgets
) -> Mapping[Segments, int]:
    """Segments of one width -> one of their even widths (`choices`, one or two, the smaller first): the fastest.

    The network does not get fewer parameters or multiply-accumulates than it has. Raises NotApplicable where no choice
    known to do that meets the budgets, and whatever the estimate raises.
    """
    search = _Search(graph, target, tuple(choices), tuple(map(tuple, choices.values())), budgets)
    return dict(zip(choices, search.run(), strict=True))


@dataclass(frozen=True)
class _Network:
    """The network at some widths.

    short: share of the parameters and multiply-accumulates it lacks. missed: budgets, as `Budgets.missed` has them.
    """

    graph: Graph
    latency_ms: float
    sram_bytes: int
    weight_bytes: int
    short: float
    missed: Mapping[str, float]

    @property
    def holds(self) -> bool:
        return self.short <= 0 and not self.missed


@dataclass(frozen=True)
class _Search:
    graph: Graph
    target: Target
    segments: tuple[Segments, ...]
    choices: tuple[Widths, ...]
    budgets: Budgets
    _networks: dict[Widths, _Network] = field(default_factory=dict)

    def run(self) -> Widths:
        current = [self.graph.channels.segments[names[0]].width for names in self.segments]
        nearest = tuple(
            min(widths, key=lambda width: (abs(width - segment_width), -width))
            for widths, segment_width in zip(self.choices, current, strict=True)
        )
        widest = tuple(max(widths) for widths in self.choices)
        centre = nearest
        self._at(widest)
        for _ in range(_ROUNDS):
            self._around(centre)
            best = min(self._networks, key=self._rank)
            if best == centre:
                break
            centre = best
        if self._networks[best].holds:
            return best
        raise NotApplicable(self._refusal())

    def _rank(self, widths: Widths) -> tuple[float, float, float, Widths]:
        """Least first: what holds by latency, the rest by how far it is from holding."""
        network = self._networks[widths]
        return max(network.short, 0.0), sum(network.missed.values()), network.latency_ms, widths

    def _at(self, widths: Widths, near: "_Network | None" = None) -> _Network:
        """near: a network that differs by one width, from which the latency is found faster."""
        if widths not in self._networks:
            pairs = zip(self.segments, widths, strict=True)
            segments = self.graph.channels.segments
            edits = tuple(
                Resize(name, width) for names, width in pairs for name in names if segments[name].width != width
            )
            graph = rewrite(self.graph, Plan(edits)) if edits else self.graph
            lacks = max(1 - graph.params / max(self.graph.params, 1), 1 - graph.macs / max(self.graph.macs, 1))
            if near is not None and not self.budgets:
                latency = near.latency_ms + delta_ms(near.graph, graph, self.target)
                self._networks[widths] = _Network(graph, latency, 0, 0, lacks, {})
            else:
                whole = estimate(graph, self.target)
                memory = whole.sram_bytes, whole.weight_bytes
                self._networks[widths] = _Network(graph, whole.latency_ms, *memory, lacks, self.budgets.missed(whole))
        return self._networks[widths]

    def _around(self, centre: Widths) -> None:
        """Estimate the neighbours of `centre`, and what the program makes of them."""
        network = self._at(centre)
        flips = [
            (i, widths[0] if width == widths[-1] else widths[-1])
            for i, (widths, width) in enumerate(zip(self.choices, centre, strict=True))
            if len(widths) > 1
        ]
        if not flips:
            return
        neighbours = [self._at(_flipped(centre, [flip]), network) for flip in flips]
        changes = np.array([_figures(neighbour) - _figures(network) for neighbour in neighbours]).T
        least = np.array([self.graph.params, self.graph.macs], float)
        most = np.array([self._most(name) for name in ("sram_kib", "model_kib")])
        for _ in range(_TRIES):
            flipped = _program(network, changes, least, most)
            best = self._at(_flipped(centre, [flip for flip, take in zip(flips, flipped, strict=True) if take]))
            if best.holds:
                return
            params, macs = best.graph.params, best.graph.macs
            least += np.maximum([self.graph.params - params, self.graph.macs - macs], 0) * 1.02
            most /= np.array([1.02 * best.missed.get(name, 1 / 1.02) for name in ("sram_kib", "model_kib")])

    def _most(self, name: str) -> float:
        budget = getattr(self.budgets, name)
        return float("inf") if budget is None else budget * 1024

    def _refusal(self) -> str:
        able = [network for network in self._networks.values() if network.short <= 0]
        nearest = min(able, key=lambda network: sum(network.missed.values()))
        name = max(nearest.missed, key=lambda key: nearest.missed[key])
        needed = nearest.sram_bytes if name == "sram_kib" else nearest.weight_bytes
        return (
            f"no even widths found that keep the network's parameters and multiply-accumulates meet "
            f"{name}={getattr(self.budgets, name):g}; the nearest need {needed / 1024:.0f} KiB"
        )


def _flipped(widths: Widths, flips: Iterable[tuple[int, int]]) -> Widths:
    changed = dict(flips)
    return tuple(changed.get(i, width) for i, width in enumerate(widths))


def _figures(network: _Network) -> np.ndarray:
    return np.array(
        [network.latency_ms, network.graph.params, network.graph.macs, network.sram_bytes, network.weight_bytes], float
    )


def _program(network: _Network, changes: np.ndarray, least: np.ndarray, most: np.ndarray) -> list[bool]:
    """Which widths to flip; budgets that cannot be met are missed by as little as can be.

    changes: of latency, parameters, multiply-accumulates, SRAM and weights, by each flip [5, flips]. least: of
    parameters and multiply-accumulates [2]. most: of SRAM and weights [2], infinite where there is no budget.
    """
    base = _figures(network)
    scale = np.maximum(np.abs(base), 1.0)

    def table(row: np.ndarray) -> list[tuple[float, float]]:
        return [(0.0, change) for change in row]

    bounds = [Bound(table(-changes[i] / scale[i]), (base[i] - least[i - 1]) / scale[i]) for i in (1, 2)]
    for i, budget in zip((3, 4), most, strict=True):
        if np.isfinite(budget):
            bounds.append(
                Bound(table(changes[i] / scale[i]), (budget - base[i]) / scale[i], _MISSED * scale[i] / budget)
            )
    chosen = choose(table(changes[0] / scale[0]), bounds, gap=1e-3)
    # where the changes say that no choice has enough work the widest do, which are estimated already
    return [bool(number) for number in chosen or [0] * changes.shape[1]]
