"""Targets: what they are, and how networks are measured on them."""

from .ethos_u import ETHOS_U, EthosU
from .measurement import Measurement
from .onnxruntime_cpu import OnnxRuntimeCpu
from .registry import list_targets, resolve
from .table import TableTarget
from .target import Target
from .weight_values import Weights

__all__ = [
    "ETHOS_U", "EthosU", "Measurement", "OnnxRuntimeCpu", "TableTarget", "Target", "Weights", "list_targets", "resolve",
]  # fmt: skip

Target.ethos_u = EthosU.with_options
