"""The fastest plan that keeps a score: what edits lose of it is forecast, of options alone and of the whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import BudgetError
from ..estimators import Budgets, delta_ms
from ..progress import Progress
from ..space import Choice, Option, block_options, option
from ..state import State
from ..transforms import DepthMultiplier
from .budgets import RATIOS, ROUNDS, Check, Refusals
from .priced_network import Met, PricedNetwork, Steps, assembled, fastest, planned_values, priced_network

__all__ = ["ScoreBudget", "meet_score"]


@dataclass(frozen=True)
class ScoreBudget:
    """most: share of a task's score that steps may lose. alone: what an option loses by itself, at least 0. in_all:
    what steps lose together. Both are forecasts.
    """

    most: float
    alone: Callable[[Option], float]
    in_all: Callable[[Steps], float]


def meet_score(
    state: State, score: ScoreBudget, budgets: Budgets, check: Check, refusals: Refusals, progress: Progress
) -> Met:
    """The fastest steps that lose no more of the score than they may, and meet the other budgets.

    What options lose alone is taken to add up; the whole is forecast, and the bound tightened by what was missed.
    check, refusals, progress: as for `meet`. Raises BudgetError where nothing meets them.
    """
    graph, target, values = state.graph, state.target, planned_values(state)
    options = [o for of_block in block_options(graph, target).values() for o in of_block]
    options = [o for o in options if delta_ms(graph, o.graph, target, values) < 0]
    prices: dict[tuple[str, str], float] = {}
    for number, o in enumerate(options):
        progress(f"forecasts of {o.block}", number, len(options) + len(RATIOS))
        prices[o.key] = score.alone(o)
    plans = [Met((), 0.0, state.estimate)]
    for number, ratio in enumerate(RATIOS):
        progress(f"widths x {ratio}", len(options) + number, len(options) + len(RATIOS))
        narrowed = option(graph, target, Choice("", () if ratio == 1 else (DepthMultiplier(ratio),)))
        price = 0.0 if narrowed is None or not narrowed.steps else score.alone(narrowed)
        if narrowed is not None and price <= score.most:
            network = priced_network(state, narrowed, price, prices, budgets.sram_kib is not None)
            plans += _within(state, network, score, budgets, refusals)
    for met in sorted(plans, key=lambda met: met.estimate.latency_ms):
        if not budgets.missed(met.estimate) and not check(met):
            return met
    raise _score_wall(budgets, plans)


def _within(
    state: State, network: PricedNetwork, score: ScoreBudget, budgets: Budgets, refusals: Refusals
) -> Sequence[Met]:
    """The fastest plan of a network's options that keeps the score when it is forecast whole; none where none does."""
    most = score.most
    for _ in range(ROUNDS):
        chosen = fastest(network, most - network.price)
        if chosen is None:
            return ()
        met = assembled(state, network, chosen)
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
