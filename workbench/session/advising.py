"""Advice on a session's network: what `suggest` and `meet` ask of the estimate, the images and the compiler."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import torch

from ..advice import Met, suggestions
from ..advice import meet as met_by
from ..errors import BudgetError, InputError
from ..estimators import Budgets
from ..hardware import EthosU
from ..surgery.losses import Losses, textured

if TYPE_CHECKING:
    from .core import Session

__all__ = ["meet", "suggest"]


def suggest(session: "Session", n: int, images: torch.Tensor | None) -> pd.DataFrame:
    """See `Session.suggest`."""
    if not isinstance(n, int) or n < 1:
        raise InputError(f"n is {n!r}; it must be a whole number of at least 1, such as 10")
    return suggestions(session.graph, session.target, session.weight_values, _losses(session, images), n)


def meet(session: "Session", budgets: Budgets, images: torch.Tensor | None) -> "Session":
    """See `Session.meet`."""

    def compiled(met: Met) -> Mapping[str, float]:
        if not isinstance(session.target, EthosU):
            return {}
        measured = (session.apply(*met.steps) if met.steps else session).verify()
        if measured.status != "compiled" or measured.latency_ms is None:
            return {}
        seen = replace(met.estimate, latency_ms=measured.latency_ms, sram_bytes=measured.sram_bytes or 0)
        return budgets.missed(seen)

    try:
        met = met_by(session.graph, session.target, session.weight_values, _losses(session, images), budgets, compiled)
    except BudgetError as error:
        if isinstance(error.nearest, Met):
            error.nearest = session.apply(*error.nearest.steps) if error.nearest.steps else session
        raise
    return session.apply(*met.steps) if met.steps else session


def _losses(session: "Session", images: torch.Tensor | None) -> Losses:
    if session.input_size is None:
        raise InputError("advice on fidelity needs a network that reads one image [N, C, H, W]")
    if images is not None:
        session.check_images(images, "images")
        return Losses(session.build(), session.graph, images)
    key = session.graph.digest
    if key not in session.losses:
        session.losses[key] = Losses(session.build(), session.graph, textured(4, session.input_size))
    found: Losses = session.losses[key]
    return found
