"""Small networks around one operator: every attribute of every kind over its range.

    input --1x1 convolution--> the operator, with one attribute set --> a convolution or linear layer

Operators compiled alone do not add up to a network, so each stands between two layers. Sizes (channels, rows, columns)
are drawn, the other attributes are the usual ones. `OPERATOR_POINTS` says which attribute of which kind takes which
values; the same point and seed give the same graph on any machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from ..graph import Graph, Op, Param
from ..graph.shapes import infer_shape

__all__ = ["OPERATOR_POINTS", "Point", "operator_network", "points"]

Shape = tuple[int, ...]
Pair = tuple[int, int]


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
    net = _Net(random)
    build, _ = OPERATOR_POINTS[point.kind]
    x = net.end(build(net, point.kind, {point.attribute: point.value}))
    return Graph(tuple(net.ops), (x,))


@dataclass
class _Net:
    """Operators so far; every method appends some and returns the name of the tensor they make."""

    random: Random
    ops: list[Op] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def add(
        self, kind: str, inputs: Sequence[str], weights: Mapping[str, Shape] | None = None, shape: Shape | None = None,
        **attrs: Any,
    ) -> str:  # fmt: skip
        name = f"{kind}_{len(self.ops)}"
        params = tuple(Param(role, f"{name}.{role}", size) for role, size in (weights or {}).items())
        op = Op(name, kind, tuple(inputs), shape or (), tuple(sorted(attrs.items())), params, module=name)
        if shape is None:
            op = Op(
                name, kind, op.inputs, infer_shape(op, [self.shapes[i] for i in inputs]), op.attrs, params, module=name
            )
        self.ops.append(op)
        self.shapes[name] = op.shape
        return name

    def conv(self, x: str, channels: int, kernel: Pair = (1, 1), **attrs: Any) -> str:
        settings = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | attrs
        weight = (channels, self.shapes[x][1] // settings["groups"], *kernel)
        return self.add("conv2d", [x], {"weight": weight, "bias": (channels,)}, kernel=kernel, **settings)

    def reshape(self, x: str, shape: Shape) -> str:
        return self.add("reshape", [x], shape=shape, dims=(None,) * len(shape))

    def map(self, channels: int = 0, size: Pair | None = None) -> str:
        """A feature map that a convolution makes."""
        channels = channels or self.random.choice((8, 16, 24, 32, 48, 64, 96, self.random.randint(5, 80)))
        size = size or self.size()
        return self.conv(self.add("input", [], shape=(1, self.random.choice((1, 3, 3, 8)), *size)), channels)

    def size(self) -> Pair:
        """Rows and columns, mostly alike and even."""
        n = self.random.choice((12, 14, 16, 20, 24, 28, 32, 40, 48, 56))
        return n, self.random.choice((n, n, n, n // 2, n + 4, n + 1))

    def tokens(self, rank: int = 3) -> str:
        """A tensor [1, positions, features] (of rank 2 [1, features]) that a linear layer makes."""
        n, c = self.random.choice((1, 16, 49, 64, 100, 196)), self.random.choice((24, 32, 64, 96, 128, 192))
        start = self.add("input", [], shape=(1, n, 32) if rank == 3 else (1, 32))
        return self.linear(start, c)

    def linear(self, x: str, channels: int) -> str:
        return self.add("linear", [x], {"weight": (channels, self.shapes[x][-1]), "bias": (channels,)})

    def end(self, x: str) -> str:
        """A layer behind it: a convolution of a map, a linear layer of any other tensor."""
        shape = self.shapes[x]
        if len(shape) == 4 and shape[0] == 1:
            return self.conv(x, 16)
        if len(shape) > 4 or shape[0] != 1:
            x = self.reshape(x, (1, prod(shape[:-1]), shape[-1]))
        return self.linear(x, 16)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _padding(value: Any, kernel: Pair, dilation: Pair) -> Pair:
    """"same": as torch pads to keep the size; "valid": none; else the number."""
    if value == "same":
        return (kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2
    return (0, 0) if value == "valid" else _pair(value)


def _convolution(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    """A conv2d; "depthwise": with as many groups as channels."""
    kernel, dilation = _pair(attrs.get("kernel", 3)), _pair(attrs.get("dilation", 1))
    x = net.map(net.random.choice((8, 16, 24, 32, 48, 64)))
    channels = net.shapes[x][1]
    out, groups = net.random.choice((8, 16, 24, 32, 40)), attrs.get("groups", 1)
    if kind == "depthwise":
        groups, out = channels, channels * attrs.get("multiplier", 1)
    return net.conv(
        x, out, kernel, groups=groups, stride=_pair(attrs.get("stride", 1)), dilation=dilation,
        padding=_padding(attrs.get("padding", "same"), kernel, dilation),
    )  # fmt: skip


def _conv1d(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    kernel, dilation, groups = attrs.get("kernel", 3), attrs.get("dilation", 1), attrs.get("groups", 1)
    c, n = net.random.choice((16, 32, 40, 64)), net.random.choice((32, 49, 64, 100, 128, 250))
    x = net.add("input", [], shape=(1, 16, n))
    x = net.add(
        "conv1d", [x], {"weight": (c, 16, 1), "bias": (c,)}, kernel=1, stride=1, padding=0, dilation=1, groups=1
    )
    out = net.random.choice((16, 24, 32, 64))
    if groups == "depthwise":
        groups, out = c, c
    padding = (kernel - 1) * dilation // 2 if attrs.get("padding", "same") == "same" else attrs["padding"]
    x = net.add(
        "conv1d", [x], {"weight": (out, c // groups, kernel), "bias": (out,)}, kernel=kernel, dilation=dilation,
        stride=attrs.get("stride", 1), groups=groups, padding=padding,
    )  # fmt: skip
    return net.add(
        "conv1d", [x], {"weight": (16, out, 1), "bias": (16,)}, kernel=1, stride=1, padding=0, dilation=1, groups=1
    )


def _transposed(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    kernel, stride = (_pair(v) for v in attrs.get("kernel/stride", (4, 2)))
    x = net.map(size=(n := net.random.choice((7, 8, 12, 14, 16, 20)), net.random.choice((n, n, n + 2))))
    padding, out_padding = attrs.get("padding", "same"), _pair(attrs.get("output_padding", 0))
    if padding == "same":  # what gives `stride` times the size, where the kernel allows it
        padding = tuple(max(k - s, 0) // 2 for k, s in zip(kernel, stride, strict=True))
    out = net.random.choice((8, 16, 24, 32))
    return net.add(
        kind, [x], {"weight": (net.shapes[x][1], out, *kernel), "bias": (out,)}, kernel=kernel, stride=stride,
        padding=_pair(padding), output_padding=out_padding, dilation=(1, 1), groups=1,
    )  # fmt: skip


def _pool(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    kernel = _pair(attrs.get("kernel", 3))
    x = net.map()
    if attrs.get("kernel") == "global":
        kernel = net.shapes[x][2:]
    settings: dict[str, Any] = {"dilation": (1, 1)} if kind == "max_pool2d" else {"count_include_pad": False}
    padding = _pair(attrs.get("padding", 0))
    settings["count_include_pad"] = not any(padding)
    if kind == "max_pool2d":
        settings = {"dilation": _pair(attrs.get("dilation", 1))}
    return net.add(
        kind, [x], kernel=kernel, stride=_pair(attrs.get("stride", 2)), padding=padding,
        ceil=attrs.get("ceil", False), **settings,
    )  # fmt: skip


def _pool1d(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    kernel = attrs.get("kernel", 2)
    return net.add(kind, [net.tokens()], kernel=kernel, stride=attrs.get("stride", kernel))


def _adaptive(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    rows, columns = attrs["size"]
    n = net.random.choice((12, 24, 36))
    x = net.map(size=(n, net.random.choice((n, 12, 24))))
    size = (rows or net.shapes[x][2], columns or net.shapes[x][3])
    x = net.add(kind, [x], size=size)
    if attrs.get("then") == "permute":
        x = net.add("permute", [x], axes=(0, 3, 2, 1))
    return x


def _pool_permuted(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    """Pooled to one column (or row), then read with the other axis as channels or in the place of that: CoordAtt."""
    size = attrs["size"]
    x = net.map(size=(n := net.random.choice((12, 20, 24, 28, 32)), net.random.choice((n, n // 2))))
    rows, columns = (size[0] or net.shapes[x][2]), (size[1] or net.shapes[x][3])
    if size == (0, 1) or size == (1, 0):
        x = net.add("mean", [x], axes=(3,) if size == (0, 1) else (2,), keepdim=True)
    else:
        x = net.add("adaptive_avg_pool2d", [x], size=(rows, columns))
    return net.add("permute", [x], axes=attrs.get("axes", (0, 1, 3, 2)))


def _reduction(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    axes, keep = attrs["axes"] if "axes" in attrs else attrs["axes, keepdim"], "axes, keepdim" in attrs
    rank = 3 if "rank3" in attrs else 4
    if "axes of rank 3" in attrs:
        axes, rank = attrs["axes of rank 3"], 3
    x = net.map() if rank == 4 else net.tokens()
    return net.add(kind, [x], axes=axes, keepdim=keep)


def _reduction_rank3(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    (_, axes), = attrs.items()
    keep = "axes, keepdim" in attrs
    x = net.map() if "rank 3" not in next(iter(attrs)) else net.tokens()
    return net.add(kind, [x], axes=axes, keepdim=keep)


def _softmax(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    ((attribute, axis),) = attrs.items()
    return net.add(kind, [net.tokens() if attribute.endswith("rank 3") else net.map()], axis=axis)


def _concat(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    if "axis of rank 3" in attrs:
        x = net.tokens()
        parts, axis = [x, net.linear(x, net.shapes[x][-1])], attrs["axis of rank 3"]
        return net.add(kind, parts, axis=axis)
    axis, count = attrs.get("axis", 1), attrs.get("parts", 2)
    x = net.map()
    c = net.shapes[x][1]
    return net.add(kind, [x, *(net.conv(x, c, (3, 3), padding=(1, 1)) for _ in range(count - 1))], axis=axis)


def _slice(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    ((attribute, (axis, step)),) = attrs.items()
    x = net.tokens() if attribute.endswith("rank 3") else net.map()
    n = net.shapes[x][axis]
    start = net.random.choice((0, 1)) if step > 1 else net.random.choice((0, n // 4, n // 2))
    stop = n if step > 1 else min(start + max(n // 2, 1), n)
    shape = tuple(len(range(start, stop, step)) if k == axis else d for k, d in enumerate(net.shapes[x]))
    return net.add(kind, [x], shape=shape, axis=axis, start=min(start, n - 1), stop=stop, step=step)


def _pad(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    ((attribute, pads),) = attrs.items()
    settings: dict[str, Any] = {} if kind == "reflect_pad" else {"value": 1.0 if attribute.endswith("value") else 0.0}
    return net.add(kind, [net.map()], pads=pads, **settings)


def _permute(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    axes = attrs["axes"]
    x = net.map() if len(axes) == 4 else net.tokens()
    if len(axes) == 5:
        x = net.map(net.random.choice((16, 32, 48)))
        _, c, h, w = net.shapes[x]
        x = net.reshape(x, (1, 2, c // 2, h, w))
    return net.add(kind, [x], axes=axes)


def _reshape(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    x = net.map(net.random.choice((16, 32, 48, 64)), size=(n := net.random.choice((12, 14, 16, 20)), n))
    _, c, h, w = net.shapes[x]
    shapes = {
        "tokens": (1, c, h * w), "vector": (1, c * h * w), "groups": (1, 4, c // 4, h, w), "rows": (1, c * h, w),
        "halves": (1, c * 4, h // 2, w // 2), "windows": (1, c, h // 2, 2, w // 2, 2),
    }  # fmt: skip
    return net.reshape(x, shapes[attrs["to"]])


def _resize(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    ((mode, ratio),) = attrs.items()
    x = net.map(size=(n := net.random.choice((7, 8, 12, 14, 16, 20)), net.random.choice((n, n + 2))))
    rows, columns = _pair(ratio) if not isinstance(ratio, float) else (ratio, ratio)
    _, c, h, w = net.shapes[x]
    size = (round(h * rows), round(w * columns))
    return net.add(kind, [x], shape=(1, c, *size), mode=mode, size=size, align_corners=False)


def _arithmetic(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    other = attrs["other"]
    if other.startswith("tokens"):
        x = net.tokens()
        if other == "tokens":
            return net.add(kind, [x, net.linear(x, net.shapes[x][-1])])
        return net.add(kind, [x, net.add("mean", [x], axes=(1,), keepdim=True)])
    x = net.map()
    c = net.shapes[x][1]
    if other == "scalar":
        return net.add(kind, [net.add("tanh", [x])], scalar=0.37)
    if other == "same":
        return net.add(kind, [x, net.conv(x, c, (3, 3), padding=(1, 1))])
    if other == "itself":
        return net.add(kind, [x, x])
    y = net.conv(x, c)
    axes = {"channels": (2, 3), "rows": (1, 3), "columns": (1, 2), "map": (1,), "row": (2,), "column": (3,)}[other]
    return net.add(kind, [x, net.add("mean", [y], axes=axes, keepdim=True)])


def _constant(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    x = net.add("tanh", [net.map()])
    _, c, h, w = net.shapes[x]
    shape = {"channel": (c, 1, 1), "map": (1, h, w), "whole": (c, h, w), "number": (1,)}[attrs["constant"]]
    name = f"param_{len(net.ops)}"
    net.ops.append(Op(name, "param", (), shape, (), (Param("value", f"{name}.value", shape),), module=name))
    net.shapes[name] = shape
    return net.add(kind.partition(" ")[0], [x, name])


def _matmul(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    heads, n, inner, m = attrs["heads, rows, inner, columns"]
    a, b = net.add("input", [], shape=(1, n, 32)), net.add("input", [], shape=(1, inner, 32))
    a, b = net.linear(a, heads * inner), net.linear(b, heads * m)
    if heads > 1:
        a = net.add("permute", [net.reshape(a, (1, n, heads, inner))], axes=(0, 2, 1, 3))
        b = net.add("permute", [net.reshape(b, (1, inner, heads, m))], axes=(0, 2, 1, 3))
    x = net.add(kind, [a, b])
    return net.reshape(x, (1, heads * n, m)) if heads > 1 else x


def _activation(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    x = {"map": net.map, "tokens": net.tokens, "shallow map": lambda: net.map(3)}[attrs["of"]]()
    if attrs["of"] == "map" and kind in ("relu", "relu6", "hard_sigmoid"):
        x = net.add("mul", [x, net.conv(x, net.shapes[x][1])])
    settings: dict[str, Any] = {"slope": 0.1} if kind == "leaky_relu" else {}
    if kind == "pow":
        settings = {"exponent": 2}
    if kind == "clamp":
        settings = {"low": -1.0, "high": 1.0}
    return net.add(kind, [x], **settings)


def _norm(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    if kind == "group_norm":
        x = net.map(net.random.choice((16, 32, 48)))
        c = net.shapes[x][1]
        return net.add(kind, [x], {"weight": (c,), "bias": (c,)}, eps=1e-5, groups=attrs["groups"])
    x = net.tokens()
    if attrs["of"] == "map, channels last":
        x = net.add("permute", [net.map()], axes=(0, 2, 3, 1))
    c = net.shapes[x][-1]
    weights = {"weight": (c,), "bias": (c,)} if kind == "layer_norm" else {"weight": (c,)}
    return net.add(kind, [x], weights, eps=1e-5, axes=(len(net.shapes[x]) - 1,))


def _linear(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    x = {"vector": lambda: net.tokens(2), "tokens": net.tokens}.get(attrs["of"], net.map)()
    if attrs["of"] == "map, channels last":
        x = net.add("permute", [x], axes=(0, 2, 3, 1))
    return net.linear(x, net.random.choice((10, 24, 64, 100)))


def _roll(net: _Net, kind: str, attrs: Mapping[str, Any]) -> str:
    return net.add(kind, [net.map(size=(16, 16))], axes=attrs["axes"], shifts=(3,) * len(attrs["axes"]))


_Build = Callable[[_Net, str, Mapping[str, Any]], str]
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
        "conv2d": (_convolution, {**_CONV, "groups": (1, 2, 4, 8)}),
        "depthwise": (_convolution, {**_CONV, "multiplier": (1, 2, 3, 4)}),
        "conv1d": (
            _conv1d,
            {
                "kernel": tuple(range(1, 10)),
                "stride": (1, 2, 3, 4),
                "dilation": (1, 2, 3, 4, 8),
                "padding": ("same", 0, 1, 2),
                "groups": (1, 2, 4, "depthwise"),
            },
        ),
        "conv_transpose2d": (
            _transposed,
            {
                "kernel/stride": (
                    (2, 2), (3, 2), (4, 2), (5, 2), (6, 2), (1, 1), (3, 1), (4, 4), (3, 3), (8, 4), (2, 1), ((1, 2), (1, 2)),
                    ((2, 1), (2, 1)), ((3, 4), (1, 2)),
                ),
                "padding": (0, 1),
                "output_padding": (0, 1),
            },
        ),
        "max_pool2d": (_pool, _WINDOW),
        "avg_pool2d": (_pool, _WINDOW),
        "avg_pool1d": (_pool1d, {"kernel": (1, 2, 3, 4, 8), "stride": (1, 2, 3, 4)}),
        "adaptive_avg_pool2d": (
            _adaptive, {"size": ((1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (12, 12), (0, 1), (1, 0), (2, 1), (3, 0))}
        ),
        "pool and permute": (_pool_permuted, {"size": ((0, 1), (1, 0)), "axes": ()}),
        "mean": (_reduction_rank3, _REDUCED),
        "sum": (_reduction_rank3, _REDUCED),
        "amax": (_reduction_rank3, _REDUCED),
        "softmax": (_softmax, {"axis": (1, 2, 3), "axis of rank 3": (1, 2)}),
        "concat": (_concat, {"axis": (1, 2, 3), "parts": (2, 3, 5), "axis of rank 3": (1, 2)}),
        "slice": (
            _slice,
            {
                "axis, step": tuple((axis, step) for axis in (1, 2, 3) for step in (1, 2, 3)),
                "axis, step of rank 3": tuple((axis, step) for axis in (1, 2) for step in (1, 2)),
            },
        ),
        "pad": (
            _pad,
            {
                key: (
                    ((0, 0), (0, 0), (1, 1), (1, 1)), ((0, 0), (0, 0), (0, 1), (0, 1)), ((0, 0), (0, 0), (2, 3), (0, 0)),
                    ((0, 0), (0, 8), (0, 0), (0, 0)), ((0, 0), (3, 2), (1, 0), (0, 0)),
                )
                for key in ("pads", "pads, value")
            },
        ),
        "reflect_pad": (_pad, {"pads": (((0, 0), (0, 0), (1, 1), (1, 1)), ((0, 0), (0, 0), (2, 1), (0, 3)))}),
        "permute": (
            _permute,
            {
                "axes": (
                    (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (0, 2, 1), (0, 2, 1, 3, 4),
                    (0, 1, 3, 4, 2), (0, 3, 4, 1, 2), (0, 1, 2, 4, 3),
                )
            },
        ),
        "reshape": (_reshape, {"to": ("tokens", "vector", "groups", "rows", "halves", "windows")}),
        "resize": (_resize, {mode: (1, 2, 3, 4, 8, 0.5, 1.5, (2, 1), (1, 2)) for mode in ("nearest", "bilinear")}),
        **{kind: (_arithmetic, {"other": _OTHERS}) for kind in ("add", "sub", "mul", "div", "maximum", "minimum")},
        **{
            f"{kind} constant": (_constant, {"constant": ("number", "channel", "map", "whole")})
            for kind in ("add", "sub", "mul", "div")
        },
        "matmul": (
            _matmul,
            {
                "heads, rows, inner, columns": (
                    (1, 16, 32, 16), (1, 64, 64, 64), (1, 49, 20, 100), (2, 49, 16, 49), (4, 64, 32, 16), (3, 7, 33, 5),
                    (8, 16, 16, 16), (1, 1, 64, 64), (2, 196, 32, 196),
                )
            },
        ),
        **{
            kind: (_activation, _FORMS)
            for kind in (
                "relu", "relu6", "hard_swish", "hard_sigmoid", "silu", "sigmoid", "tanh", "leaky_relu", "gelu", "exp",
                "sqrt", "rsqrt", "abs", "neg", "pow", "clamp",
            )
        },
        "layer_norm": (_norm, {"of": ("tokens", "map, channels last")}),
        "rms_norm": (_norm, {"of": ("tokens", "map, channels last")}),
        "group_norm": (_norm, {"groups": (1, 2, 4)}),
        "linear": (_linear, {"of": ("vector", "tokens", "map", "map, channels last")}),
        "roll": (_roll, {"axes": ((2,), (3,), (2, 3))}),
    }
)  # fmt: skip
