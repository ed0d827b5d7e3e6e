"""Devices learned from what was measured on them: whole networks, a few dozen."""

from .correction import Correction, correct
from .estimating import calibrate, estimate, is_calibrated, model_of
from .known import KnownModel, fit_known
from .model import DeviceModel, Row, fit, held_out

__all__ = [
    "Correction", "DeviceModel", "KnownModel", "Row", "calibrate", "correct", "estimate", "fit", "fit_known",
    "held_out", "is_calibrated", "model_of",
]  # fmt: skip
