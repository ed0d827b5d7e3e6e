"""Targets: what they are, and how networks are measured on them."""

from .base import Measurement, Target, Weights
from .ethos_u import ETHOS_U, EthosU
from .onnxruntime_cpu import OnnxRuntimeCpu
from .registry import list_targets, resolve
from .table import TableTarget

__all__ = [
    "ETHOS_U", "EthosU", "Measurement", "OnnxRuntimeCpu", "TableTarget", "Target", "Weights", "list_targets", "resolve",
]  # fmt: skip
