"""Advice on a state's network: what `suggest` and `meet` ask of the estimate, the images and the compiler."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import pandas as pd
import torch

from .. import advice
from ..advice import Met, losses_of
from ..errors import BudgetError, InputError
from ..estimators import Budgets
from ..state import State
from .verifying import verify

__all__ = ["meet", "suggest"]

AnyState = TypeVar("AnyState", bound=State)


def suggest(state: State, n: int, images: torch.Tensor | None) -> pd.DataFrame:
    """See `Session.suggest`."""
    if not isinstance(n, int) or n < 1:
        raise InputError(f"n is {n!r}; it must be a whole number of at least 1, such as 10")
    return advice.suggestions(state.graph, state.target, state.weight_values, losses_of(state, images), n)


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
        return budgets.missed(
            replace(met.estimate, latency_ms=compiled.latency_ms, sram_bytes=compiled.sram_bytes or 0)
        )

    losses = losses_of(state, images)
    try:
        met = advice.meet(state.graph, state.target, state.weight_values, losses, budgets, missed_when_compiled)
    except BudgetError as error:
        if isinstance(error.nearest, Met):
            error.nearest = after(error.nearest)
        raise
    return after(met)
