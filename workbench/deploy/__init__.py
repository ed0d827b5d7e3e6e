"""Deployment: the files that run on a device, and what they answer."""

from .litert import Int8File, int8_file
from .onnx import onnx_file

__all__ = ["Int8File", "int8_file", "onnx_file"]
