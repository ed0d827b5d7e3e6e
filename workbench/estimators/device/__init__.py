"""Devices learned from what was measured on them: whole networks, a few dozen."""

from .correction import Correction, correct
from .estimating import calibrate, estimate, is_calibrated, model_of
from .model import DeviceModel, Row, fit, held_out

__all__ = [
    "Correction", "DeviceModel", "Row", "calibrate", "correct", "estimate", "fit", "held_out", "is_calibrated",
    "model_of",
]  # fmt: skip
