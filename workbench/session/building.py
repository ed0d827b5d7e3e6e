"""The session's edited module."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..errors import InputError
from ..surgery import build as carried_out
from .progress import shown

if TYPE_CHECKING:
    from .core import Session

__all__ = ["build"]


def build(session: "Session", calibration: torch.Tensor | None = None, distil: int = 0) -> nn.Module:
    """See `Session.build`."""
    if not isinstance(distil, int) or isinstance(distil, bool) or distil < 0:
        raise InputError(f"distil is {distil!r}; it must be a whole number of steps, 0 or more, such as 300")
    if distil and calibration is None:
        raise InputError(f"distil={distil} learns from images: give them as calibration=")
    if calibration is not None:
        session.check_images(calibration, "calibration")
    plans = [step.plan for step in session.untuned_steps]
    if not plans:
        return copy.deepcopy(session.start)
    before = session.steps[: len(session.steps) - len(plans)]
    graph = before[-1].graph if before else session.base.graph
    if not distil:
        return carried_out(session.start, graph, plans, calibration)
    with shown("distilling") as progress:
        return carried_out(session.start, graph, plans, calibration, distil, progress)
