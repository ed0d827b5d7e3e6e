"""Padding that a layer's code does: no attribute of the layer, but an operator before it."""

from .ir import Graph, Op

__all__ = ["WINDOWS", "own_padding", "pads_itself"]

WINDOWS = ("conv2d", "max_pool2d", "avg_pool2d")
_PADDING = ("pad", "reflect_pad")


def own_padding(before: Op, layer: Op) -> bool:
    """Whether `before` is padding that the code of `layer`, which reads it, does."""
    return before.kind in _PADDING and before.module == layer.module


def pads_itself(graph: Graph, op: Op) -> bool:
    """Whether the layer pads as TensorFlow's "SAME" does, as much as its present input needs.

    timm gives layers of these classes a fixed padding where that does the same at every size: at stride 1.
    """
    return op.kind in WINDOWS and graph.classes.get(op.module, "").endswith("Same") and not any(op["padding"])
