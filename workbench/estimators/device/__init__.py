"""Devices learned from what was measured on them: whole networks, a few dozen."""

from .correction import Correction, correct
from .estimating import NETWORKS, calibrate, estimate, evidence, is_calibrated, model_of
from .known import KnownModel, fit_known
from .model import DeviceModel, Row, fit, held_out
from .profiled import ProfiledModel, fit_profiled

__all__ = [
    "NETWORKS", "Correction", "DeviceModel", "KnownModel", "ProfiledModel", "Row", "calibrate", "correct", "estimate",
    "evidence", "fit", "fit_known", "fit_profiled", "held_out", "is_calibrated", "model_of",
]  # fmt: skip
