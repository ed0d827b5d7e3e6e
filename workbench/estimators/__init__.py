"""Estimators: what a network is predicted to cost, and how the predictors are made."""

from .block_table import block_table
from .budgets import Budgets
from .estimate import Estimate
from .estimator import alone, clear_estimates, delta_ms, estimate, is_calibrated, keep
from .ethos_u_calibration import calibrate
from .weight_distributions import WeightValues, weight_values

__all__ = [
    "Budgets",
    "Estimate",
    "WeightValues",
    "alone",
    "block_table",
    "calibrate",
    "clear_estimates",
    "delta_ms",
    "estimate",
    "is_calibrated",
    "keep",
    "weight_values",
]
