"""Even widths, up or down each, of least latency for at least the work the network does now.

Per segment s, or set of equal parts, one of its even widths is taken, x[s] = 1 where it is not the one of the network
at hand. With t, p and m the changes of latency, parameters and multiply-accumulates that this alone makes, P and M what
is missing of the original's, an integer program (HiGHS) finds

    min  sum t x     so that   sum p x >= P,   sum m x >= M   (and, of SRAM and weights, <= what is left of the budget)

Neighbouring widths multiply, so the changes do not quite add up: what was chosen is estimated whole, a bound it missed
is tightened, and the changes are taken again around the best found so far until nothing better turns up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import NotApplicable
from ..estimators import Budgets, delta_ms, estimate
from ..graph import Graph, Plan, Resize, rewrite
from ..hardware import Target

__all__ = ["cheapest"]

_ROUNDS = 6  # networks around which changes are taken
_TRIES = 4  # programs a round, bounds tightened in between
_MISSED = 1e3  # what a budget missed by its whole costs, in latencies of the network

Segments = tuple[str, ...]
Widths = tuple[int, ...]


def cheapest(
    graph: Graph, target: Target, choices: Mapping[Segments, Sequence[int]], budgets: Budgets
) -> Mapping[Segments, int]:
    """Segments of one width -> one of their even widths (`choices`, one or two, the smaller first): the fastest.

    The network does not get fewer parameters or multiply-accumulates than it has. Raises NotApplicable where no choice
    known to do that meets the budgets, and whatever the estimate raises.
    """
    search = _Search(graph, target, tuple(choices), tuple(map(tuple, choices.values())), budgets)
    return dict(zip(choices, search.run(), strict=True))


@dataclass(frozen=True)
class _Known:
    """A network of given widths. short: share of the parameters and multiply-accumulates it lacks; missed: budgets."""

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
    _seen: dict[Widths, _Known] = field(default_factory=dict)

    def run(self) -> Widths:
        current = [self.graph.channels.segments[names[0]].width for names in self.segments]
        nearest = tuple(
            min(some, key=lambda width: (abs(width - now), -width))
            for some, now in zip(self.choices, current, strict=True)
        )
        widest = tuple(max(some) for some in self.choices)
        centre = nearest
        self._at(widest)
        for _ in range(_ROUNDS):
            self._around(centre)
            best = min(self._seen, key=self._rank)
            if best == centre:
                break
            centre = best
        if self._seen[best].holds:
            return best
        raise NotApplicable(self._refusal())

    def _rank(self, widths: Widths) -> tuple[float, float, float, Widths]:
        """Least first: what holds by latency, the rest by how far it is from holding."""
        known = self._seen[widths]
        return max(known.short, 0.0), sum(known.missed.values()), known.latency_ms, widths

    def _at(self, widths: Widths, near: "_Known | None" = None) -> _Known:
        """near: a network that differs by one width, from which the latency is found faster."""
        if widths not in self._seen:
            pairs = zip(self.segments, widths, strict=True)
            segments = self.graph.channels.segments
            edits = tuple(
                Resize(name, width) for names, width in pairs for name in names if segments[name].width != width
            )
            graph = rewrite(self.graph, Plan(edits)) if edits else self.graph
            lacks = max(1 - graph.params / max(self.graph.params, 1), 1 - graph.macs / max(self.graph.macs, 1))
            if near is not None and not self.budgets:
                latency = near.latency_ms + delta_ms(near.graph, graph, self.target)
                self._seen[widths] = _Known(graph, latency, 0, 0, lacks, {})
            else:
                found = estimate(graph, self.target)
                memory = found.sram_bytes, found.weight_bytes
                self._seen[widths] = _Known(graph, found.latency_ms, *memory, lacks, self.budgets.missed(found))
        return self._seen[widths]

    def _around(self, centre: Widths) -> None:
        """Estimate the neighbours of `centre`, and what the program makes of them."""
        here = self._at(centre)
        flips = [
            (i, some[0] if width == some[-1] else some[-1])
            for i, (some, width) in enumerate(zip(self.choices, centre, strict=True))
            if len(some) > 1
        ]
        if not flips:
            return
        there = [self._at(_flipped(centre, [flip]), here) for flip in flips]
        changes = np.array([_figures(known) - _figures(here) for known in there]).T
        least = np.array([self.graph.params, self.graph.macs], float)
        most = np.array([self._most(name) for name in ("sram_kib", "model_kib")])
        for _ in range(_TRIES):
            taken = _program(here, changes, least, most)
            found = self._at(_flipped(centre, [flip for flip, take in zip(flips, taken, strict=True) if take]))
            if found.holds:
                return
            params, macs = found.graph.params, found.graph.macs
            least += np.maximum([self.graph.params - params, self.graph.macs - macs], 0) * 1.02
            most /= np.array([1.02 * found.missed.get(name, 1 / 1.02) for name in ("sram_kib", "model_kib")])

    def _most(self, name: str) -> float:
        budget = getattr(self.budgets, name)
        return float("inf") if budget is None else budget * 1024

    def _refusal(self) -> str:
        able = [known for known in self._seen.values() if known.short <= 0]
        near = min(able, key=lambda known: sum(known.missed.values()))
        name = max(near.missed, key=lambda key: near.missed[key])
        had = near.sram_bytes if name == "sram_kib" else near.weight_bytes
        return (
            f"no even widths found that keep the network's parameters and multiply-accumulates meet "
            f"{name}={getattr(self.budgets, name):g}; the nearest need {had / 1024:.0f} KiB"
        )


def _flipped(widths: Widths, flips: Iterable[tuple[int, int]]) -> Widths:
    changed = dict(flips)
    return tuple(changed.get(i, width) for i, width in enumerate(widths))


def _figures(known: _Known) -> np.ndarray:
    return np.array(
        [known.latency_ms, known.graph.params, known.graph.macs, known.sram_bytes, known.weight_bytes], float
    )


def _program(here: _Known, changes: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Which widths to flip, bool[segments]; budgets that cannot be met are missed by as little as can be."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # half a second to import, and few plans need it

    now = _figures(here)
    count = changes.shape[1]
    bounded = np.isfinite(most)
    # one more variable a budget: the share by which it is missed
    slack = -np.diag(np.where(bounded, most, 0.0))[:, bounded]
    over = slack.shape[1]
    scale = np.maximum(np.abs(now), 1.0)
    rules = [LinearConstraint(np.hstack([changes[1:3], np.zeros((2, over))]) / scale[1:3, None],
                              (least - now[1:3]) / scale[1:3], np.inf)]  # fmt: skip
    if over:
        rows = np.hstack([changes[3:], slack])[bounded] / scale[3:][bounded, None]
        rules.append(LinearConstraint(rows, -np.inf, ((most - now[3:]) / scale[3:])[bounded]))
    cost = np.append(changes[0] / scale[0], np.full(over, _MISSED))
    bounds = Bounds(0, np.append(np.ones(count), np.full(over, np.inf)))
    whole = np.append(np.ones(count), np.zeros(over))
    result = milp(cost, integrality=whole, bounds=bounds, constraints=rules, options={"mip_rel_gap": 1e-3})
    # where the changes say that no choice has enough work the widest do, which are known already
    return np.zeros(count, bool) if result.x is None else result.x[:count] > 0.5
