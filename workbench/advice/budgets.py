"""The plan that meets budgets at the least price: fidelity lost, or, of weights that mean nothing, arithmetic lost.

The integer program of `priced_network.py` chooses an option per block. What does not add up shows when the whole is
estimated: the budget is tightened by what was missed and solved again. Where options of single blocks do not reach, or
lose more, all widths are narrowed first, by ratios from 0.9 down.

Losses of untrained weights mean nothing, and other weights have others. The price is then e^2 = the share of the
multiply-accumulates that an option takes away, so that the plan keeps the most: a network that is trained afterwards is
the better the more it computes (on NAS-Bench-Macro the two rank 6,561 networks alike, Spearman 0.75). Latencies are
estimated of normal weights and without kept compiles, so that the plan is the same whatever the values, and again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import isfinite

from ..errors import BudgetError, InputError
from ..estimators import Budgets
from ..metrics import metric_text, number_text
from ..progress import Progress
from ..space import Choice, Option, block_options, option
from ..state import State
from ..surgery.losses import Losses
from ..transforms import DepthMultiplier
from .edit_price import edit_price
from .priced_network import Met, PricedNetwork, Steps, assembled, cheapest, fastest, priced_network

__all__ = ["RATIOS", "ROUNDS", "Check", "Refusals", "meet"]

RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25)
ROUNDS = 6
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
        progress(f"losses of {o.block}", number, len(options) + len(RATIOS))
        prices[o.key] = edit_price(graph, o, losses)
    narrowings = []
    for number, ratio in enumerate(RATIOS):
        progress(f"widths x {ratio}", len(options) + number, len(options) + len(RATIOS))
        narrowed = option(graph, target, Choice("", () if ratio == 1 else (DepthMultiplier(ratio),)))
        if narrowed is not None:
            narrowings.append((edit_price(graph, narrowed, losses) if narrowed.steps else 0.0, narrowed))
    return _cheapest(state, budgets, narrowings, prices, check, refusals, progress)


@dataclass(frozen=True)
class _Candidate:
    """A plan of a network that meets the budgets by the estimate; tight: those it was solved for, after some rounds."""

    network: PricedNetwork
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
            network = priced_network(state, item, price, prices, budgets.sram_kib is not None)
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


def _solved(
    state: State, network: PricedNetwork, budgets: Budgets, tight: Budgets, rounds: int, nearest: list[Met]
) -> _Candidate | None:
    """The best of a network's options that holds when it is estimated whole; None where there is none."""
    while rounds < ROUNDS:
        chosen = cheapest(network, tight)
        if chosen is None:
            least = fastest(network)
            if least is not None:
                nearest.append(assembled(state, network, least))
            return None
        met = assembled(state, network, chosen)
        missed = budgets.missed(met.estimate)
        if not missed:
            return _Candidate(network, met, tight, rounds)
        nearest.append(met)
        tight, rounds = tight.tightened(missed), rounds + 1
    return None


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
