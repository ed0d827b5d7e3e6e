"""The plan that meets budgets, checked by the compiler where the target has one."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import torch

from .. import advice
from ..advice import UNTRAINED, Met, Steps, losses_of
from ..errors import BudgetError, NotApplicable
from ..estimators import Budgets
from ..progress import shown
from ..recipe import Recipe
from ..state import AnyState
from .verifying import verify

__all__ = ["meet"]


def meet(state: AnyState, budgets: Budgets, images: torch.Tensor | None) -> AnyState:
    """See `Session.meet`."""

    def after(met: Met) -> AnyState:
        cost = UNTRAINED if state.untrained else f"predicted loss {met.price:.3f}"
        return state.apply(Recipe(f"meet({_text(budgets)}): {cost}", met.steps)) if met.steps else state

    def takes(steps: Steps) -> bool:
        try:
            state.apply(Recipe("", steps))
        except NotApplicable:
            return False
        return True

    def refusals(parts: Sequence[Steps]) -> Sequence[Steps]:
        """Those that the module does not take; the last, where it takes each alone."""
        if not parts or takes(tuple(step for part in parts for step in part)):
            return ()
        return [part for part in parts if not takes(part)] or parts[-1:]

    def missed_when_compiled(met: Met) -> Mapping[str, float]:
        if not state.target.compiles_tflite:
            return {}
        compiled = verify(after(met))
        if compiled.status != "compiled" or compiled.latency_ms is None:
            return {}
        figures = replace(met.estimate, latency_ms=compiled.latency_ms, sram_bytes=compiled.sram_bytes or 0)
        return budgets.missed(figures)

    losses = losses_of(state, images)
    try:
        with shown("meeting budgets:") as progress:
            met = advice.meet(state, losses, budgets, missed_when_compiled, refusals, progress)
    except BudgetError as error:
        if isinstance(error.nearest, Met):
            error.nearest = after(error.nearest)
        raise
    return after(met)


def _text(budgets: Budgets) -> str:
    values = {field.name: getattr(budgets, field.name) for field in fields(budgets)}
    return ", ".join(f"{name}={value:g}" for name, value in values.items() if value is not None)
