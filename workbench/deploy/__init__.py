"""Deployment: the files that run on a device, and what they answer."""

from .int8 import ACTIVATIONS, Converted, check_activations, converted, int8_file
from .layer_errors import culprit, layer_errors
from .litert import Int8File
from .onnx import onnx_file

__all__ = [
    "ACTIVATIONS",
    "Converted",
    "Int8File",
    "check_activations",
    "converted",
    "culprit",
    "int8_file",
    "layer_errors",
    "onnx_file",
]
