"""The plan that meets budgets, checked by the compiler where the target has one."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from .. import advice
from ..advice import Met, losses_of
from ..errors import BudgetError
from ..estimators import Budgets
from ..progress import shown
from ..state import AnyState
from .verifying import verify

__all__ = ["meet"]


def meet(state: AnyState, budgets: Budgets, images: torch.Tensor | None) -> AnyState:
    """See `Session.meet`."""

    def after(met: Met) -> AnyState:
        return state.apply(*met.steps) if met.steps else state

    def missed_when_compiled(met: Met) -> Mapping[str, float]:
        if not state.target.compiles_tflite:
            return {}
        compiled = verify(after(met))
        if compiled.status != "compiled" or compiled.latency_ms is None:
            return {}
        figures = replace(met.estimate, latency_ms=compiled.latency_ms, sram_bytes=compiled.sram_bytes or 0)
        return budgets.missed(figures)

    try:
        with shown("meeting budgets:") as progress:
            met = advice.meet(state, losses_of(state, images), budgets, missed_when_compiled, progress)
    except BudgetError as error:
        if isinstance(error.nearest, Met):
            error.nearest = after(error.nearest)
        raise
    return after(met)
