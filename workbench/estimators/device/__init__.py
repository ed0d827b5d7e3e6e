"""Devices learned from networks measured on them: a few dozen whole ones."""

from .accelerator_model import AcceleratorModel, fit_accelerator
from .calibration import NETWORKS, calibrate, evidence, is_calibrated, model_of
from .correction import Correction, correct
from .estimator import estimate
from .held_out import held_out
from .profiled_model import ProfiledModel, fit_profiled
from .row import Row
from .totals_model import TotalsModel, fit_totals

__all__ = [
    "NETWORKS", "AcceleratorModel", "Correction", "ProfiledModel", "Row", "TotalsModel", "calibrate", "correct",
    "estimate", "evidence", "fit_accelerator", "fit_profiled", "fit_totals", "held_out", "is_calibrated", "model_of",
]  # fmt: skip
