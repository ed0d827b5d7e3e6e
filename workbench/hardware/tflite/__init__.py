"""The int8 TFLite file of a graph: what the compiler is fed."""

from .writer import TfliteFile, write_tflite

__all__ = ["TfliteFile", "write_tflite"]
