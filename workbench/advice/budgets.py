"""The plan that meets budgets at the least price: fidelity lost, or, of weights that mean nothing, arithmetic lost.

Per block b one of its options c is taken (0: as it is). With t the change of latency, w of weights, e the price, m the
most feature maps alive in the block, each of the option alone, an integer program (`choices.py`) finds

    min  sum e[b,c]^2 x[b,c]      so that   sum_c x[b,c] = 1,   sum t x <= T,   sum w x <= W,   m[b,c] > M: x[b,c] = 0

Latencies and weights nearly add up over blocks; memory is a maximum over them. What does not add up shows when the
whole is estimated: the budget is tightened by what was missed and solved again. Where options of single blocks do not
reach, or lose more, all widths are narrowed first, by ratios from 0.9 down.

Losses of untrained weights mean nothing, and other weights have others. The price is then e^2 = the share of the
multiply-accumulates that an option takes away, so that the plan keeps the most: a network that is trained afterwards is
the better the more it computes (on NAS-Bench-Macro the two rank 6,561 networks alike, Spearman 0.75). Latencies are
estimated of normal weights and without kept compiles, so that the plan is the same whatever the values, and again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from math import isfinite

from ..choices import Bound, choose
from ..errors import BudgetError, InputError
from ..estimators import Budgets, Estimate, WeightValues, alone, delta_ms, estimate, weight_values
from ..graph import Graph
from ..metrics import metric_text, number_text
from ..progress import Progress
from ..space import Choice, Option, block_options, option
from ..state import State
from ..surgery.losses import Losses
from ..transforms import DepthMultiplier, Transform
from .edit_price import edit_price
from .live_bytes import live_bytes

__all__ = ["Met", "ScoreBudget", "Steps", "meet", "meet_score"]

_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25)
_ROUNDS = 6
_TOO_MUCH = 1.5  # an option that loses more than a function that is nothing to do with the block's is none
_SLACK = 1e-9


Steps = tuple[Transform, ...]


@dataclass(frozen=True)
class Met:
    """Steps that meet the budgets by the estimate, and the loss they are predicted to cost.

    parts: the steps that belong together, a part each: those on the whole network first, then those of one block.
    price: the loss (relative error), or, of untrained weights, the root of the share of arithmetic lost.
    """

    parts: tuple[Steps, ...]
    price: float
    estimate: Estimate

    @property
    def steps(self) -> Steps:
        return tuple(step for part in self.parts for step in part)


@dataclass(frozen=True)
class ScoreBudget:
    """most: share of a task's score that steps may lose. alone: what an option loses by itself, at least 0. in_all:
    what steps lose together. Both are forecasts.
    """

    most: float
    alone: Callable[[Option], float]
    in_all: Callable[[Steps], float]


Check = Callable[[Met], Mapping[str, float]]
Refusals = Callable[[Met], Sequence[Steps]]


def meet(
    state: State, losses: Losses | None, budgets: Budgets, check: Check, refusals: Refusals, progress: Progress
) -> Met:
    """The steps that meet the budgets at the least loss.

    losses: of edits of the state's network; None where its weights are untrained: the steps that keep the most
    arithmetic. progress: called with what is under way, steps done, steps in all.
    check: called on what meets the budgets by the estimate; answers with those a compiler finds missed, as
    `Budgets.missed` does. refusals: called on it before; answers with the parts that the module does not take.
    Raises InputError where there is no budget; BudgetError, naming the wall and how near one gets, where nothing meets
    them.
    """
    if not budgets:
        raise InputError("meet needs a budget: latency_ms, sram_kib or model_kib")
    graph, target = state.graph, state.target
    start = Met((), 0.0, state.estimate)
    if not budgets.missed(start.estimate) and not check(start):
        return start
    options = [o for of_block in block_options(graph, target).values() for o in of_block]
    prices: dict[tuple[str, str], float] = {}
    for number, o in enumerate(options):
        progress(f"losses of {o.block}", number, len(options) + len(_RATIOS))
        prices[o.key] = edit_price(graph, o, losses)
    narrowings = []
    for number, ratio in enumerate(_RATIOS):
        progress(f"widths x {ratio}", len(options) + number, len(options) + len(_RATIOS))
        narrowed = option(graph, target, Choice("", () if ratio == 1 else (DepthMultiplier(ratio),)))
        if narrowed is not None:
            narrowings.append((edit_price(graph, narrowed, losses) if narrowed.steps else 0.0, narrowed))
    return _cheapest(state, budgets, narrowings, prices, check, refusals, progress)


@dataclass(frozen=True)
class _Candidate:
    """A plan of a network that meets the budgets by the estimate; tight: those it was solved for, after some rounds."""

    network: "_Network"
    met: Met
    tight: Budgets
    rounds: int


def _cheapest(
    state: State,
    budgets: Budgets,
    narrowings: Sequence[tuple[float, Option]],
    prices: Mapping[tuple[str, str], float],
    check: Check,
    refusals: Refusals,
    progress: Progress,
) -> Met:
    """The cheapest plan that holds when it is tried on the module and checked.

    narrowings: the network at several widths, each with its price, which no plan of it undercuts. So whatever may be
    cheapest is looked at next: few plans are built and compiled.
    """
    nearest: list[Met] = []
    queue: list[tuple[float, int, Option | _Candidate]] = [
        (price, number, narrowed) for number, (price, narrowed) in enumerate(narrowings) if isfinite(price)
    ]
    heapify(queue)  # a network is in it once, so that its number decides between equal prices
    looked_at = 0
    while queue:
        price, number, item = heappop(queue)
        looked_at += 1
        tried = "solving" if isinstance(item, Option) else "compiling"
        progress(f"{tried} the plan of price {number_text(price)}", looked_at, looked_at + len(queue))
        if isinstance(item, Option):
            network = _network(state, item, price, prices, budgets.sram_kib is not None)
            candidate = _solved(state, network, budgets, budgets, 0, nearest)
        elif refused := refusals(item.met):
            network = item.network.without(refused)
            lost = network.transforms in refused
            candidate = None if lost else _solved(state, network, budgets, item.tight, item.rounds, nearest)
        elif missed := check(item.met):
            nearest.append(item.met)
            tight = item.tight.tightened(missed)
            candidate = _solved(state, item.network, budgets, tight, item.rounds + 1, nearest)
        else:
            return item.met
        if candidate is not None:
            heappush(queue, (candidate.met.price, number, candidate))
    raise _wall(budgets, nearest, refusals)


@dataclass(frozen=True)
class _Network:
    """A network, narrowed or not, and the rows of its blocks, the first always as it is.

    transforms, price: those that narrowed it, and what they cost.
    """

    transforms: Steps
    price: float
    graph: Graph
    blocks: "tuple[tuple[_Row, ...], ...]"
    estimate: Estimate

    def without(self, refused: Sequence[Steps]) -> "_Network":
        """The network without these options."""
        blocks = (
            tuple(row for row in rows if row.option is None or row.option.transforms not in refused)
            for rows in self.blocks
        )
        return replace(self, blocks=tuple(blocks))


@dataclass(frozen=True)
class _Row:
    """An option of a block (None: as it is) and what it changes."""

    option: Option | None
    price: float
    latency_ms: float
    params: int
    live_bytes: int


def _planned_values(state: State) -> WeightValues:
    """How weights are taken to be distributed while options are compared: untrained ones do not decide."""
    return weight_values(state.graph, None) if state.untrained else state.weight_values


def _network(
    state: State, narrowed: Option, narrowing: float, prices: Mapping[tuple[str, str], float], memory: bool
) -> _Network:
    """prices: of each block's options. memory: feature maps matter, so that every option is estimated whole."""
    target, values = state.target, _planned_values(state)
    plain = alone(narrowed.graph, target, values) if state.untrained else None  # as before anything was compiled
    whole = plain or estimate(narrowed.graph, target, values)
    live = live_bytes(narrowed.graph, whole) if memory else {}
    blocks = []
    for block, options in block_options(narrowed.graph, target).items():
        rows = [_Row(None, 0.0, 0.0, 0, live.get(block, 0))]
        for o in options:
            price = prices.get(o.key, float("inf"))
            if price <= _TOO_MUCH:
                alive = live_bytes(o.graph, estimate(o.graph, target, values)).get(block, 0) if memory else 0
                change = delta_ms(narrowed.graph, o.graph, target, values)
                rows.append(_Row(o, price, change, o.graph.params - narrowed.graph.params, alive))
        blocks.append(tuple(rows))
    return _Network(narrowed.transforms, narrowing, narrowed.graph, tuple(blocks), whole)


def _solved(
    state: State, network: _Network, budgets: Budgets, tight: Budgets, rounds: int, nearest: list[Met]
) -> _Candidate | None:
    """The best of a network's options that holds when it is estimated whole; None where there is none."""
    while rounds < _ROUNDS:
        chosen = _program(network, tight)
        if chosen is None:
            fastest = _program(network, tight, fastest=True)
            if fastest is not None:
                nearest.append(_whole(state, network, fastest))
            return None
        met = _whole(state, network, chosen)
        missed = budgets.missed(met.estimate)
        if not missed:
            return _Candidate(network, met, tight, rounds)
        nearest.append(met)
        tight, rounds = tight.tightened(missed), rounds + 1
    return None


def _program(
    network: _Network, budgets: Budgets, fastest: bool = False, most: float | None = None
) -> tuple[int, ...] | None:
    """The options chosen, per block its number; None where no choice meets the budgets.

    fastest: whatever the budgets and the prices; most: but for prices, which add up to so much at most.
    """
    whole = network.estimate
    latency = [[row.latency_ms for row in rows] for rows in network.blocks]
    # among equal prices the faster; scaled so that it never outweighs one
    faster = [[ms / max(whole.latency_ms, 1e-9) for ms in row] for row in latency]
    if fastest:
        return choose(faster, [] if most is None else [_priced(network, most)])
    cost = [
        [row.price**2 + 1e-6 * share for row, share in zip(rows, shares, strict=True)]
        for rows, shares in zip(network.blocks, faster, strict=True)
    ]
    bounds = []
    if budgets.latency_ms is not None:
        bounds.append(Bound(latency, budgets.latency_ms - whole.latency_ms))
    if budgets.model_kib is not None:
        bytes_each = whole.weight_bytes / max(network.graph.params, 1)
        left = (budgets.model_kib * 1024 - whole.weight_bytes) / bytes_each
        bounds.append(Bound([[row.params for row in rows] for rows in network.blocks], left))
    forbidden = None
    if budgets.sram_kib is not None:
        # cascades keep less alive than the feature maps of their steps; the share is taken to stay
        share = max(whole.peak_activation_bytes, 1) / max(whole.sram_bytes, 1)
        most = budgets.sram_kib * 1024 * share + _SLACK
        forbidden = [[row.live_bytes > most for row in rows] for rows in network.blocks]
    return choose(cost, bounds, forbidden)


def _priced(network: _Network, most: float) -> Bound:
    """Prices add up to at most so much, in hundredths of the score, as the solver tells sums apart."""
    return Bound([[100 * row.price for row in rows] for rows in network.blocks], 100 * most)


def _whole(state: State, network: _Network, chosen: tuple[int, ...]) -> Met:
    rows = [rows[c] for rows, c in zip(network.blocks, chosen, strict=True)]
    parts = tuple(row.option.transforms for row in rows if row.option is not None)
    taken = option(network.graph, state.target, Choice("", tuple(step for part in parts for step in part)))
    assert taken is not None, "options of different blocks do not exclude each other"
    price = (network.price**2 + sum(row.price**2 for row in rows)) ** 0.5
    parts = (network.transforms, *parts) if network.transforms else parts
    return Met(parts, price, estimate(taken.graph, state.target, state.weight_values))


def meet_score(
    state: State, score: ScoreBudget, budgets: Budgets, check: Check, refusals: Refusals, progress: Progress
) -> Met:
    """The fastest steps that lose no more of the score than they may, and meet the other budgets.

    What options lose alone is taken to add up; the whole is forecast, and the bound tightened by what was missed.
    check, refusals, progress: as for `meet`. Raises BudgetError where nothing meets them.
    """
    graph, target, values = state.graph, state.target, _planned_values(state)
    options = [o for of_block in block_options(graph, target).values() for o in of_block]
    options = [o for o in options if delta_ms(graph, o.graph, target, values) < 0]
    prices: dict[tuple[str, str], float] = {}
    for number, o in enumerate(options):
        progress(f"forecasts of {o.block}", number, len(options) + len(_RATIOS))
        prices[o.key] = score.alone(o)
    plans = [Met((), 0.0, state.estimate)]
    for number, ratio in enumerate(_RATIOS):
        progress(f"widths x {ratio}", len(options) + number, len(options) + len(_RATIOS))
        narrowed = option(graph, target, Choice("", () if ratio == 1 else (DepthMultiplier(ratio),)))
        price = 0.0 if narrowed is None or not narrowed.steps else score.alone(narrowed)
        if narrowed is not None and price <= score.most:
            network = _network(state, narrowed, price, prices, budgets.sram_kib is not None)
            plans += _within(state, network, score, budgets, refusals)
    for met in sorted(plans, key=lambda met: met.estimate.latency_ms):
        if not budgets.missed(met.estimate) and not check(met):
            return met
    raise _score_wall(budgets, plans)


def _within(
    state: State, network: _Network, score: ScoreBudget, budgets: Budgets, refusals: Refusals
) -> Sequence[Met]:
    """The fastest plan of a network's options that keeps the score when it is forecast whole; none where none does."""
    most = score.most
    for _ in range(_ROUNDS):
        chosen = _program(network, budgets, fastest=True, most=most - network.price)
        if chosen is None:
            return ()
        met = _whole(state, network, chosen)
        if refused := refusals(met):
            if network.transforms in refused:
                return ()
            network = network.without(refused)
            continue
        lost = score.in_all(met.steps)
        if lost <= score.most:
            return (replace(met, price=lost),)
        most *= score.most / lost if score.most > 0 else 0.0
    return ()


def _score_wall(budgets: Budgets, plans: Sequence[Met]) -> BudgetError:
    """What stands in the way of other budgets where the score is kept."""
    near = min(plans, key=lambda met: max(budgets.missed(met.estimate).values(), default=1.0))
    missed = budgets.missed(near.estimate)
    text = ", ".join(f"{name}={getattr(budgets, name):g}" for name in missed) or "what the compiler says"
    error = BudgetError(
        f"no plan meets accuracy and {text}: the wall is accuracy, the nearest takes {near.estimate.latency_ms:.3f} ms"
    )
    error.nearest = near
    return error


_WALLS = {"sram_kib": "SRAM", "model_kib": "flash"}


def _wall(budgets: Budgets, nearest: list[Met], refusals: Refusals) -> BudgetError:
    """What stands in the way, and how near one gets."""
    ranked = sorted(nearest, key=lambda met: max(budgets.missed(met.estimate).values(), default=1.0))
    near = next((met for met in ranked if not refusals(met)), None)
    if near is None:
        return BudgetError("no plan meets the budgets, and none of the steps known here applies to the network")
    missed = budgets.missed(near.estimate)
    name = max(missed, key=lambda key: missed[key]) if missed else "latency_ms"
    figures = {
        "latency_ms": metric_text("latency_ms", near.estimate.latency_ms),
        "sram_kib": f"{metric_text('sram_bytes', near.estimate.sram_bytes)} of SRAM",
        "model_kib": f"{metric_text('weight_bytes', near.estimate.weight_bytes)} of weights",
    }
    wall = _WALLS.get(name) or {"compute": "compute"}.get(near.estimate.bound, near.estimate.bound.upper())
    error = BudgetError(
        f"no plan meets {name}={getattr(budgets, name):g}: the wall is {wall}, the nearest takes {figures[name]}"
    )
    error.nearest = near
    return error
