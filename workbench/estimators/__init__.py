"""Estimators: what a network is predicted to cost, and how the predictors are made."""

from .block_table import block_table
from .budgets import Budgets
from .calibrate import calibrate
from .estimate import Estimate
from .predict import alone, clear_estimates, delta_ms, estimate, is_calibrated, keep
from .values import WeightValues, weight_values

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
