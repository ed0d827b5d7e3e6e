"""The plan that meets budgets at the least fidelity lost.

Per block b one of its options c is taken (0: as it is). With t the change of latency, w of weights, e the loss, m the
most feature maps alive in the block, each of the option alone, an integer program (HiGHS) finds

    min  sum e[b,c]^2 x[b,c]      so that   sum_c x[b,c] = 1,   sum t x <= T,   sum w x <= W,   m[b,c] > M: x[b,c] = 0

Latencies and weights nearly add up over blocks; memory is a maximum over them. What does not add up shows when the
whole is estimated: the budget is tightened by what was missed and solved again. Where options of single blocks do not
reach, or lose more, all widths are narrowed first, by ratios from 0.9 down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from ..errors import BudgetError, InputError
from ..estimators import Budgets, Estimate, WeightValues, delta_ms, estimate
from ..graph import Graph
from ..hardware import Target
from ..transforms import DepthMultiplier, Transform
from .options import Loss, Option, block_options, option

__all__ = ["Met", "meet"]

_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25)
_ROUNDS = 6
_TOO_MUCH = 1.5  # an option that loses more than a function that is nothing to do with the block's is none
_SLACK = 1e-9


@dataclass(frozen=True)
class Met:
    """Steps that meet the budgets by the estimate, and the loss they are predicted to cost (relative error)."""

    steps: tuple[Transform, ...]
    loss: float
    estimate: Estimate


Check = Callable[[Met], Mapping[str, float]]


def meet(graph: Graph, target: Target, values: WeightValues, loss: Loss, budgets: Budgets, check: Check) -> Met:
    """The steps that meet the budgets at the least loss.

    check: called on what meets them by the estimate; answers with the budgets a compiler finds missed, as
    `Budgets.missed` does. Raises InputError where there is no budget; BudgetError, naming the
    wall and how near one gets, where nothing meets them.
    """
    if not budgets:
        raise InputError("meet needs a budget: latency_ms, sram_kib or model_kib")
    start = Met((), 0.0, estimate(graph, target, values))
    if not budgets.missed(start.estimate) and not check(start):
        return start
    known = {one.key: loss.of(one.plans, one.block) for some in block_options(graph, target).values() for one in some}
    best: Met | None = None
    nearest: list[Met] = []
    for ratio in _RATIOS:
        base = option(graph, target, () if ratio == 1 else (DepthMultiplier(ratio),))
        if base is None:
            continue
        lost = loss.of(base.plans) if base.steps else 0.0
        if best is not None and lost >= best.loss:
            break
        space = _space(base, lost, known, target, values, budgets.sram_kib is not None)
        found = _solved(space, target, values, budgets, check, nearest)
        if found is not None and (best is None or found.loss < best.loss):
            best = found
    if best is None:
        raise _wall(budgets, nearest)
    return best


@dataclass(frozen=True)
class _Space:
    """A network, narrowed or not, and the options of its blocks, the first always as it is."""

    steps: tuple[Transform, ...]
    loss: float
    graph: Graph
    blocks: "tuple[tuple[_Row, ...], ...]"
    estimate: Estimate


@dataclass(frozen=True)
class _Row:
    """An option of a block (None: as it is) and what it changes."""

    option: Option | None
    loss: float
    latency_ms: float
    params: int
    live_bytes: int


def _space(
    base: Option,
    lost: float,
    known: Mapping[tuple[str, ...], float],
    target: Target,
    values: WeightValues,
    memory: bool,
) -> _Space:
    """memory: feature maps matter, so that every option is estimated whole."""
    whole = estimate(base.graph, target, values)
    live = _live(base.graph, whole) if memory else {}
    blocks = []
    for block, some in block_options(base.graph, target).items():
        rows = [_Row(None, 0.0, 0.0, 0, live.get(block, 0))]
        for one in some:
            loss = known.get(one.key, float("inf"))
            if loss <= _TOO_MUCH:
                alive = _live(one.graph, estimate(one.graph, target, values)).get(block, 0) if memory else 0
                change = delta_ms(base.graph, one.graph, target, values)
                rows.append(_Row(one, loss, change, one.graph.params - base.graph.params, alive))
        blocks.append(tuple(rows))
    return _Space(base.steps, lost, base.graph, tuple(blocks), whole)


def _live(graph: Graph, found: Estimate) -> dict[str, int]:
    """Most bytes of feature maps alive while a block runs."""
    home = {name: block.name for block in graph.blocks for name in block.ops}
    top: dict[str, int] = {}
    for name, live, _ in found.detail.timeline():
        if name in home:
            top[home[name]] = max(top.get(home[name], 0), live)
    return top


def _solved(
    space: _Space, target: Target, values: WeightValues, budgets: Budgets, check: Check, nearest: list[Met]
) -> Met | None:
    """The best of a space that holds when it is estimated whole and checked; None where there is none."""
    tight = budgets
    for _ in range(_ROUNDS):
        chosen = _program(space, tight)
        if chosen is None:
            reach = _program(space, tight, fastest=True)
            if reach is not None:
                nearest.append(_whole(space, reach, target, values))
            return None
        found = _whole(space, chosen, target, values)
        missed = budgets.missed(found.estimate)
        if not missed:
            missed = dict(check(found))
            if not missed:
                return found
        nearest.append(found)
        tight = tight.tightened(missed)
    return None


def _program(space: _Space, budgets: Budgets, fastest: bool = False) -> list[int] | None:
    """The options chosen, per block its number; None where no choice meets the budgets."""
    sizes = [len(rows) for rows in space.blocks]
    if not sizes:
        return []
    flat = [(r.loss, r.latency_ms, r.params, r.live_bytes) for rows in space.blocks for r in rows]
    loss, latency, weights, live = np.array(flat, float).T
    upper = np.ones(len(loss))
    if budgets.sram_kib is not None and not fastest:
        # cascades keep less alive than the feature maps of their steps; the share is taken to stay
        share = max(space.estimate.peak_activation_bytes, 1) / max(space.estimate.sram_bytes, 1)
        upper[live > budgets.sram_kib * 1024 * share + _SLACK] = 0
    one_each = np.zeros((len(sizes), len(loss)))
    for b, end in enumerate(np.cumsum(sizes)):
        one_each[b, end - sizes[b] : end] = 1
    rules = [LinearConstraint(one_each, 1, 1)]
    if budgets.latency_ms is not None and not fastest:
        rules.append(LinearConstraint(latency[None], -np.inf, budgets.latency_ms - space.estimate.latency_ms))
    if budgets.model_kib is not None and not fastest:
        bytes_each = space.estimate.weight_bytes / max(space.graph.params, 1)
        left = (budgets.model_kib * 1024 - space.estimate.weight_bytes) / bytes_each
        rules.append(LinearConstraint(weights[None], -np.inf, left))
    # among equal losses the faster; scaled so that it never outweighs one
    faster = latency / max(space.estimate.latency_ms, 1e-9)
    cost = faster if fastest else loss**2 + 1e-6 * faster
    result = milp(cost, integrality=np.ones(len(loss)), bounds=Bounds(0, upper), constraints=rules)
    if result.x is None:
        return None
    ends = np.cumsum(sizes)
    return [int(np.argmax(result.x[end - size : end])) for size, end in zip(sizes, ends, strict=True)]


def _whole(space: _Space, chosen: list[int], target: Target, values: WeightValues) -> Met:
    picked = [rows[c] for rows, c in zip(space.blocks, chosen, strict=True)]
    steps = [step for row in picked if row.option is not None for step in row.option.steps]
    taken = option(space.graph, target, steps)
    assert taken is not None, "options of different blocks do not exclude each other"
    loss = (space.loss**2 + sum(row.loss**2 for row in picked)) ** 0.5
    return Met((*space.steps, *steps), loss, estimate(taken.graph, target, values))


_WALLS = {"sram_kib": "SRAM", "model_kib": "flash"}


def _wall(budgets: Budgets, nearest: list[Met]) -> BudgetError:
    """What stands in the way, and how near one gets."""
    if not nearest:
        return BudgetError("no plan meets the budgets, and none of the steps known here applies to the network")
    near = min(nearest, key=lambda met: max(budgets.missed(met.estimate).values(), default=1.0))
    missed = budgets.missed(near.estimate)
    name = max(missed, key=lambda key: missed[key]) if missed else "latency_ms"
    figures = {
        "latency_ms": f"{near.estimate.latency_ms:.3f} ms",
        "sram_kib": f"{near.estimate.sram_bytes / 1024:.0f} KiB of SRAM",
        "model_kib": f"{near.estimate.weight_bytes / 1024:.0f} KiB of weights",
    }
    wall = _WALLS.get(name) or {"compute": "compute"}.get(near.estimate.bound, near.estimate.bound.upper())
    error = BudgetError(
        f"no plan meets {name}={getattr(budgets, name):g}: the wall is {wall}, the nearest takes {figures[name]}"
    )
    error.nearest = near
    return error
