"""Padding that a layer's code does: no attribute of the layer, but an operator before it."""

from .kinds import PADS, WINDOWS
from .op import Op
from .structure import Structure

__all__ = ["is_padding_of", "pads_as_needed"]


def is_padding_of(before: Op, layer: Op) -> bool:
    """Whether `before` is padding that the code of `layer`, which reads it, does."""
    return before.kind in PADS and before.module == layer.module


def pads_as_needed(graph: Structure, op: Op) -> bool:
    """Whether the layer pads as TensorFlow's "SAME" does, as much as its present input needs.

    timm gives layers of these classes a fixed padding where that does the same at every size: at stride 1.
    """
    return op.kind in WINDOWS and graph.classes.get(op.module, "").endswith("Same") and not any(op["padding"])
