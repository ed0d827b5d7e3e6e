"""Small networks around one operator: every attribute of every kind over its range.

    input --1x1 convolution--> the operator, with one attribute set --> a convolution or linear layer

Operators compiled alone do not add up to a network, so each stands between two layers. Sizes (channels, rows, columns)
are drawn, the other attributes are the usual ones. `OPERATOR_POINTS` says which attribute of which kind takes which
values; the same point and seed give the same graph on any machine.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from ..graph import Graph
from .operator_builders import (
    SmallNet,
    with_activation,
    with_adaptive,
    with_arithmetic,
    with_concat,
    with_constant,
    with_conv1d,
    with_convolution,
    with_linear,
    with_matmul,
    with_norm,
    with_pad,
    with_permute,
    with_pool,
    with_pool1d,
    with_pool_permuted,
    with_reduction,
    with_reshape,
    with_resize,
    with_roll,
    with_slice,
    with_softmax,
    with_transposed,
)

__all__ = ["OPERATOR_POINTS", "Point", "operator_network", "points"]


class Point(NamedTuple):
    """kind: of the operator. attribute: the one that is set to `value`. draw: number of the drawn sizes."""

    kind: str
    attribute: str
    value: Any
    draw: int

    def __str__(self) -> str:
        return f"{self.kind} {self.attribute}={self.value} #{self.draw}".replace("'", "")


def points(draws: int = 1) -> list[Point]:
    """Every value of every attribute of every kind, `draws` times; of one draw all values come before the next."""
    return [
        Point(kind, attribute, value, draw)
        for draw in range(draws)
        for kind, (_, attributes) in OPERATOR_POINTS.items()
        for attribute, values in attributes.items()
        for value in values
    ]


def operator_network(point: Point, seed: int = 0) -> Graph:
    """The network of a point.

    >>> operator_network(Point("softmax", "axis", 1, 0)).by_name["softmax_2"]["axis"]
    1
    """
    random = Random(f"{seed}/{point}")
    net = SmallNet(random)
    build, _ = OPERATOR_POINTS[point.kind]
    x = net.end(build(net, point.kind, {point.attribute: point.value}))
    return Graph(tuple(net.ops), (x,))


_Build = Callable[[SmallNet, str, Mapping[str, Any]], str]
_ASYMMETRIC = ((1, 3), (3, 1), (1, 7), (7, 1), (3, 5), (2, 3))
_WINDOW = {
    "kernel": (*range(1, 10), *_ASYMMETRIC, "global"),
    "stride": (1, 2, 3, 4, (1, 2), (2, 1)),
    "padding": (0, 1, (0, 1), (1, 0)),
    "ceil": (False, True),
}
_OTHERS = ("same", "itself", "scalar", "channels", "rows", "columns", "map", "row", "column", "tokens", "tokens, mean")
_REDUCED = {
    "axes": ((2, 3), (1,), (2,), (3,), (1, 2), (1, 3), (1, 2, 3)),
    "axes, keepdim": ((2, 3), (1,), (2,), (3,), (1, 2), (1, 3), (1, 2, 3)),
    "axes of rank 3": ((1,), (2,), (1, 2)),
}
_FORMS = {"of": ("map", "tokens", "shallow map")}
_CONV = {
    "kernel": (*range(1, 10), *_ASYMMETRIC, (11, 11)),
    "stride": (1, 2, 3, 4, (1, 2), (2, 1), (4, 2)),
    "dilation": (*range(1, 9), (1, 2), (2, 4), (3, 1), (1, 5), 12),
    "padding": ("valid", "same", 1, 2, 3, (0, 1), (2, 1)),
}
# kind -> what builds its networks, and attribute -> values
OPERATOR_POINTS: Mapping[str, tuple[_Build, Mapping[str, Sequence[Any]]]] = MappingProxyType(
    {
        "conv2d": (with_convolution, {**_CONV, "groups": (1, 2, 4, 8)}),
        "depthwise": (with_convolution, {**_CONV, "multiplier": (1, 2, 3, 4)}),
        "conv1d": (
            with_conv1d,
            {
                "kernel": tuple(range(1, 10)),
                "stride": (1, 2, 3, 4),
                "dilation": (1, 2, 3, 4, 8),
                "padding": ("same", 0, 1, 2),
                "groups": (1, 2, 4, "depthwise"),
            },
        ),
        "conv_transpose2d": (
            with_transposed,
            {
                "kernel/stride": (
                    (2, 2), (3, 2), (4, 2), (5, 2), (6, 2), (1, 1), (3, 1), (4, 4), (3, 3), (8, 4), (2, 1),
                    ((1, 2), (1, 2)), ((2, 1), (2, 1)), ((3, 4), (1, 2)),
                ),
                "padding": (0, 1),
                "output_padding": (0, 1),
            },
        ),
        "max_pool2d": (with_pool, _WINDOW),
        "avg_pool2d": (with_pool, _WINDOW),
        "avg_pool1d": (with_pool1d, {"kernel": (1, 2, 3, 4, 8), "stride": (1, 2, 3, 4)}),
        "adaptive_avg_pool2d": (
            with_adaptive, {"size": ((1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (12, 12), (0, 1), (1, 0), (2, 1), (3, 0))}
        ),
        "pool and permute": (with_pool_permuted, {"size": ((0, 1), (1, 0))}),
        "mean": (with_reduction, _REDUCED),
        "sum": (with_reduction, _REDUCED),
        "amax": (with_reduction, _REDUCED),
        "amin": (with_reduction, _REDUCED),
        "softmax": (with_softmax, {"axis": (1, 2, 3), "axis of rank 3": (1, 2)}),
        "concat": (with_concat, {"axis": (1, 2, 3), "parts": (2, 3, 5), "axis of rank 3": (1, 2)}),
        "slice": (
            with_slice,
            {
                "axis, step": tuple((axis, step) for axis in (1, 2, 3) for step in (1, 2, 3)),
                "axis, step of rank 3": tuple((axis, step) for axis in (1, 2) for step in (1, 2)),
            },
        ),
        "pad": (
            with_pad,
            {
                key: (
                    ((0, 0), (0, 0), (1, 1), (1, 1)), ((0, 0), (0, 0), (0, 1), (0, 1)),
                    ((0, 0), (0, 0), (2, 3), (0, 0)), ((0, 0), (0, 8), (0, 0), (0, 0)),
                    ((0, 0), (3, 2), (1, 0), (0, 0)),
                )
                for key in ("pads", "pads, value")
            },
        ),
        "reflect_pad": (with_pad, {"pads": (((0, 0), (0, 0), (1, 1), (1, 1)), ((0, 0), (0, 0), (2, 1), (0, 3)))}),
        "permute": (
            with_permute,
            {
                "axes": (
                    (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (0, 2, 1), (0, 2, 1, 3, 4),
                    (0, 1, 3, 4, 2), (0, 3, 4, 1, 2), (0, 1, 2, 4, 3),
                )
            },
        ),
        "reshape": (with_reshape, {"to": ("tokens", "vector", "groups", "rows", "halves", "windows")}),
        "resize": (with_resize, {mode: (1, 2, 3, 4, 8, 0.5, 1.5, (2, 1), (1, 2)) for mode in ("nearest", "bilinear")}),
        **{kind: (with_arithmetic, {"other": _OTHERS}) for kind in ("add", "sub", "mul", "div", "maximum", "minimum")},
        **{
            f"{kind} constant": (with_constant, {"constant": ("number", "channel", "map", "whole")})
            for kind in ("add", "sub", "mul", "div")
        },
        "matmul": (
            with_matmul,
            {
                "heads, rows, inner, columns": (
                    (1, 16, 32, 16), (1, 64, 64, 64), (1, 49, 20, 100), (2, 49, 16, 49), (4, 64, 32, 16), (3, 7, 33, 5),
                    (8, 16, 16, 16), (1, 1, 64, 64), (2, 196, 32, 196),
                )
            },
        ),
        **{
            kind: (with_activation, _FORMS)
            for kind in (
                "relu", "relu6", "hard_swish", "hard_sigmoid", "silu", "sigmoid", "tanh", "leaky_relu", "gelu", "exp",
                "sqrt", "rsqrt", "abs", "neg", "pow", "clamp",
            )
        },
        "layer_norm": (with_norm, {"of": ("tokens", "map, channels last")}),
        "rms_norm": (with_norm, {"of": ("tokens", "map, channels last")}),
        "group_norm": (with_norm, {"groups": (1, 2, 4)}),
        "linear": (with_linear, {"of": ("vector", "tokens", "map", "map, channels last")}),
        "roll": (with_roll, {"axes": ((2,), (3,), (2, 3))}),
    }
)  # fmt: skip
