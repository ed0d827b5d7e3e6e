"""Networks around one operator: what stands before it, the operator with one attribute set, and what stands behind it.

Every `with_...` appends an operator of a kind to a network of one layer, with the usual attributes but for those given,
and returns the name of its tensor. Sizes (channels, rows, columns, positions) are drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from random import Random
from typing import Any

from ..graph import Op, Param
from ..graph.shapes import infer_shape

__all__ = [
    "SmallNet",
    "with_activation",
    "with_adaptive",
    "with_arithmetic",
    "with_concat",
    "with_constant",
    "with_conv1d",
    "with_convolution",
    "with_linear",
    "with_matmul",
    "with_norm",
    "with_pad",
    "with_permute",
    "with_pool",
    "with_pool1d",
    "with_pool_permuted",
    "with_reduction",
    "with_reshape",
    "with_resize",
    "with_roll",
    "with_slice",
    "with_softmax",
    "with_transposed",
]

Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass
class SmallNet:
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
        settings: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | attrs
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
    """As torch pads to keep the size ("same"), none ("valid"), or the number."""
    if value == "same":
        return (kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2
    return (0, 0) if value == "valid" else _pair(value)


def with_convolution(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
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


def with_conv1d(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A convolution of a line, between two of kernel 1."""
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


def with_transposed(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A transposed convolution; "kernel/stride" is both."""
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


def with_pool(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A pool by a window, "global" for one as large as the map."""
    kernel = _pair(attrs.get("kernel", 3))
    x = net.map()
    if attrs.get("kernel") == "global":
        kernel = net.shapes[x][2], net.shapes[x][3]
    padding = _pair(attrs.get("padding", 0))
    settings: dict[str, Any] = {"count_include_pad": not any(padding)}
    if kind == "max_pool2d":
        settings = {"dilation": (1, 1)}
    return net.add(
        kind, [x], kernel=kernel, stride=_pair(attrs.get("stride", 2)), padding=padding,
        ceil=attrs.get("ceil", False), **settings,
    )  # fmt: skip


def with_pool1d(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A pool of positions, features first."""
    kernel = attrs.get("kernel", 2)
    return net.add(kind, [net.tokens()], kernel=kernel, stride=attrs.get("stride", kernel))


def with_adaptive(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A pool to "size"; 0 keeps rows or columns as they are."""
    rows, columns = attrs["size"]
    n = net.random.choice((12, 24, 36))
    x = net.map(size=(n, net.random.choice((n, 12, 24))))
    size = (rows or net.shapes[x][2], columns or net.shapes[x][3])
    return net.add(kind, [x], size=size)


def with_pool_permuted(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """Pooled to one column (or row), then read with the other axis as channels or in the place of that: CoordAtt."""
    size = attrs["size"]
    x = net.map(size=(n := net.random.choice((12, 20, 24, 28, 32)), net.random.choice((n, n // 2))))
    rows, columns = (size[0] or net.shapes[x][2]), (size[1] or net.shapes[x][3])
    if size == (0, 1) or size == (1, 0):
        x = net.add("mean", [x], axes=(3,) if size == (0, 1) else (2,), keepdim=True)
    else:
        x = net.add("adaptive_avg_pool2d", [x], size=(rows, columns))
    return net.add("permute", [x], axes=attrs.get("axes", (0, 1, 3, 2)))


def with_reduction(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A mean, sum or largest value over the axes of a map, or of a tensor of rank 3."""
    ((attribute, axes),) = attrs.items()
    x = net.tokens() if attribute.endswith("rank 3") else net.map()
    return net.add(kind, [x], axes=axes, keepdim=attribute.endswith("keepdim"))


def with_softmax(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A softmax over an axis of a map, or of a tensor of rank 3."""
    ((attribute, axis),) = attrs.items()
    return net.add(kind, [net.tokens() if attribute.endswith("rank 3") else net.map()], axis=axis)


def with_concat(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """Several maps, or two tensors of rank 3, one behind the other."""
    if "axis of rank 3" in attrs:
        x = net.tokens()
        parts, axis = [x, net.linear(x, net.shapes[x][-1])], attrs["axis of rank 3"]
        return net.add(kind, parts, axis=axis)
    axis, count = attrs.get("axis", 1), attrs.get("parts", 2)
    x = net.map()
    c = net.shapes[x][1]
    return net.add(kind, [x, *(net.conv(x, c, (3, 3), padding=(1, 1)) for _ in range(count - 1))], axis=axis)


def with_slice(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A part along (axis, step)."""
    ((attribute, (axis, step)),) = attrs.items()
    x = net.tokens() if attribute.endswith("rank 3") else net.map()
    n = net.shapes[x][axis]
    start = net.random.choice((0, min(1, n - 1))) if step > 1 else net.random.choice((0, n // 4, n // 2))
    stop = n if step > 1 else min(start + max(n // 2, 1), n)
    shape = tuple(len(range(start, stop, step)) if k == axis else d for k, d in enumerate(net.shapes[x]))
    return net.add(kind, [x], shape=shape, axis=axis, start=start, stop=stop, step=step)


def with_pad(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map with values, or itself mirrored, around it."""
    ((attribute, pads),) = attrs.items()
    settings: dict[str, Any] = {} if kind == "reflect_pad" else {"value": 1.0 if attribute.endswith("value") else 0.0}
    return net.add(kind, [net.map()], pads=pads, **settings)


def with_permute(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """Axes in another order, as many as there are in "axes"."""
    axes = attrs["axes"]
    x = net.map() if len(axes) == 4 else net.tokens()
    if len(axes) == 5:
        x = net.map(net.random.choice((16, 32, 48)))
        _, c, h, w = net.shapes[x]
        x = net.reshape(x, (1, 2, c // 2, h, w))
    return net.add(kind, [x], axes=axes)


def with_reshape(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map in another shape, by name."""
    x = net.map(net.random.choice((16, 32, 48, 64)), size=(n := net.random.choice((12, 14, 16, 20)), n))
    _, c, h, w = net.shapes[x]
    shapes = {
        "tokens": (1, c, h * w), "vector": (1, c * h * w), "groups": (1, 4, c // 4, h, w), "rows": (1, c * h, w),
        "halves": (1, c * 4, h // 2, w // 2), "windows": (1, c, h // 2, 2, w // 2, 2),
    }  # fmt: skip
    return net.reshape(x, shapes[attrs["to"]])


def with_resize(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map resized by a ratio, or by one for rows and one for columns."""
    ((mode, ratio),) = attrs.items()
    x = net.map(size=(n := net.random.choice((7, 8, 12, 14, 16, 20)), net.random.choice((n, n + 2))))
    rows, columns = _pair(ratio) if not isinstance(ratio, float) else (ratio, ratio)
    _, c, h, w = net.shapes[x]
    size = (round(h * rows), round(w * columns))
    return net.add(kind, [x], shape=(1, c, *size), mode=mode, size=size, align_corners=False)


def with_arithmetic(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map and another tensor that broadcasts to it, or tensors of rank 3."""
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


def with_constant(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map and a constant of the model that broadcasts to it."""
    x = net.add("tanh", [net.map()])
    _, c, h, w = net.shapes[x]
    shape = {"channel": (c, 1, 1), "map": (1, h, w), "whole": (c, h, w), "number": (1,)}[attrs["constant"]]
    name = f"param_{len(net.ops)}"
    net.ops.append(Op(name, "param", (), shape, (), (Param("value", f"{name}.value", shape),), module=name))
    net.shapes[name] = shape
    return net.add(kind.partition(" ")[0], [x, name])


def with_matmul(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A product of matrices that linear layers make."""
    heads, n, inner, m = attrs["heads, rows, inner, columns"]
    a, b = net.add("input", [], shape=(1, n, 32)), net.add("input", [], shape=(1, inner, 32))
    a, b = net.linear(a, heads * inner), net.linear(b, heads * m)
    if heads > 1:
        a = net.add("permute", [net.reshape(a, (1, n, heads, inner))], axes=(0, 2, 1, 3))
        b = net.add("permute", [net.reshape(b, (1, inner, heads, m))], axes=(0, 2, 1, 3))
    x = net.add(kind, [a, b])
    return net.reshape(x, (1, heads * n, m)) if heads > 1 else x


def with_activation(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """An activation or function of a map or tokens, a shallow map having three channels."""
    x = net.tokens() if attrs["of"] == "tokens" else net.map(3 if attrs["of"] == "shallow map" else 0)
    if attrs["of"] == "map" and kind in ("relu", "relu6", "hard_sigmoid"):
        x = net.add("mul", [x, net.conv(x, net.shapes[x][1])])
    settings: dict[str, Any] = {"slope": 0.1} if kind == "leaky_relu" else {}
    if kind == "pow":
        settings = {"exponent": 2}
    if kind == "clamp":
        settings = {"low": -1.0, "high": 1.0}
    return net.add(kind, [x], **settings)


def with_norm(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A norm over channels of tokens, of a map that stands channels last, or in groups."""
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


def with_linear(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A linear layer of a vector, of tokens, or along the last axis of a map."""
    x = net.map() if attrs["of"].startswith("map") else net.tokens(2 if attrs["of"] == "vector" else 3)
    if attrs["of"] == "map, channels last":
        x = net.add("permute", [x], axes=(0, 2, 3, 1))
    return net.linear(x, net.random.choice((10, 24, 64, 100)))


def with_roll(net: SmallNet, kind: str, attrs: Mapping[str, Any]) -> str:
    """A map rolled by three."""
    return net.add(kind, [net.map(size=(16, 16))], axes=attrs["axes"], shifts=(3,) * len(attrs["axes"]))
