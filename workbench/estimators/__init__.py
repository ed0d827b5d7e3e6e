"""Estimators: what a network is predicted to cost, and how the predictors are made."""

from .calibrate import calibrate
from .estimate import Estimate
from .predict import estimate, is_calibrated

__all__ = ["Estimate", "calibrate", "estimate", "is_calibrated"]
