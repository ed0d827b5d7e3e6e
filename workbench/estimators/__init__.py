"""Estimators: what a network is predicted to cost, and how the predictors are made."""

from .calibrate import calibrate
from .estimate import Estimate
from .npu.passes import Values
from .predict import delta_ms, estimate, is_calibrated, keep
from .values import weight_values

__all__ = ["Estimate", "Values", "calibrate", "delta_ms", "estimate", "is_calibrated", "keep", "weight_values"]
