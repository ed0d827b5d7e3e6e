"""Random networks to measure operators in: the block vocabulary of convolutional backbones, at any width.

Operators compiled alone do not add up to a network (they cannot prefetch weights or keep a feature map near
the accelerator), so calibration measures them inside whole networks. These are built straight as Graphs, with
no model behind them: convolutions with a bias, as they are once batch norms are folded.

    c  channels            r  resolution (height = width)        e  expansion of a block's inner width
    k  kernel              s  stride                             g  groups of a convolution
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

from ..graph import Graph, Op, Param

__all__ = ["sample"]

_ACTIVATIONS = ("relu", "relu", "relu6", "silu", "hard_swish", "leaky_relu", "gelu")
_MAX_PARAMS = 20_000_000
_MAX_MACS = 4_000_000_000


def sample(seed: int) -> Graph:
    """A random convolutional network; the same seed gives the same graph on any machine.

    >>> sample(0).digest == sample(0).digest
    True
    """
    for attempt in range(100):
        graph = _network(Random(f"{seed}/{attempt}"))
        if graph is not None and graph.params <= _MAX_PARAMS and graph.macs <= _MAX_MACS:
            return graph
    raise AssertionError(f"no network of an affordable size for seed {seed}")


@dataclass
class _Net:
    """Operators so far; every method appends some and returns the name of the tensor they make."""

    ops: list[Op] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(
        self, kind: str, inputs: Sequence[str], shape: tuple[int, ...], params: Sequence[Param] = (), **attrs: Any
    ) -> str:
        name = f"{kind}_{len(self.ops)}"
        params = tuple(Param(p.role, f"{name}.{p.role}", p.shape) for p in params)
        self.ops.append(Op(name, kind, tuple(inputs), shape, tuple(sorted(attrs.items())), params, module=name))
        self.shapes[name] = shape
        return name

    def act(self, x: str, kind: str) -> str:
        if not kind:
            return x
        attrs: dict[str, Any] = {"slope": 0.1} if kind == "leaky_relu" else {}
        return self.add(kind, [x], self.shapes[x], **attrs)

    def conv(
        self, x: str, c: int, k: int | tuple[int, int] = 1, s: int = 1, g: int = 1, act: str = "", dilation: int = 1
    ) -> str:
        _, c_in, h, w = self.shapes[x]
        kh, kw = (k, k) if isinstance(k, int) else k
        ph, pw = dilation * (kh - 1) // 2, dilation * (kw - 1) // 2
        out_h = (h + 2 * ph - dilation * (kh - 1) - 1) // s + 1
        out_w = (w + 2 * pw - dilation * (kw - 1) - 1) // s + 1
        params = (Param("weight", "", (c, c_in // g, kh, kw)), Param("bias", "", (c,)))
        out = self.add(
            "conv2d", [x], (1, c, out_h, out_w), params,
            kernel=(kh, kw), stride=(s, s), padding=(ph, pw), dilation=(dilation, dilation), groups=g,
        )  # fmt: skip
        return self.act(out, act)

    def depthwise(self, x: str, k: int, s: int = 1, act: str = "", dilation: int = 1) -> str:
        c = self.shapes[x][1]
        return self.conv(x, c, k, s, c, act, dilation)

    def pool(self, x: str, kind: str, k: int, s: int, pad: int) -> str:
        _, c, h, w = self.shapes[x]
        shape = (1, c, (h + 2 * pad - k) // s + 1, (w + 2 * pad - k) // s + 1)
        common: dict[str, Any] = {"kernel": (k, k), "stride": (s, s), "padding": (pad, pad), "ceil": False}
        if kind == "max_pool2d":
            return self.add(kind, [x], shape, dilation=(1, 1), **common)
        return self.add(kind, [x], shape, count_include_pad=pad == 0, **common)

    def linear(self, x: str, c: int, act: str = "") -> str:
        c_in = self.shapes[x][-1]
        params = (Param("weight", "", (c, c_in)), Param("bias", "", (c,)))
        return self.act(self.add("linear", [x], (*self.shapes[x][:-1], c), params), act)

    def sum(self, a: str, b: str, act: str = "") -> str:
        return self.act(self.add("add", [a, b], self.shapes[a]), act)

    def concat(self, parts: Sequence[str]) -> str:
        first = self.shapes[parts[0]]
        c = sum(self.shapes[p][1] for p in parts)
        return self.add("concat", parts, (1, c, *first[2:]), axis=1)

    def slice(self, x: str, start: int, stop: int) -> str:
        return self.add("slice", [x], (1, stop - start, *self.shapes[x][2:]), axis=1, start=start, stop=stop, step=1)

    def gate(self, x: str, rng: Random, squeeze: int, act: str) -> str:
        """Squeeze-excite: mean, two 1x1 convolutions, a gate, a product."""
        c = self.shapes[x][1]
        pooled = self.add("mean", [x], (1, c, 1, 1), axes=(2, 3), keepdim=True)
        inner = self.conv(pooled, max(4, squeeze), act=act if act in ("silu", "hard_swish") else "relu")
        gate = self.conv(inner, c, act=rng.choice(("sigmoid", "hard_sigmoid")))
        return self.add("mul", [x, gate], self.shapes[x])


def _width(rng: Random, near: float) -> int:
    """A width near the one wanted: a round number mostly, any number sometimes."""
    step = rng.choice((1, 2, 4, 8, 8, 8, 16, 16, 32))
    return max(step, 3, round(near * rng.uniform(0.85, 1.15) / step) * step)


@dataclass(frozen=True)
class _Style:
    """What the blocks of one network have in common."""

    act: str
    kernel: int
    expansion: float
    gate: float  # 0: no squeeze-excite, otherwise its inner width over the block's
    group_width: int


def _ibn(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    inner = max(1, round(net.shapes[x][1] * style.expansion))
    y = net.conv(x, inner, act=style.act) if style.expansion != 1 else x
    y = net.depthwise(y, style.kernel, s, style.act)
    if style.gate:
        y = net.gate(y, rng, round(net.shapes[y][1] * style.gate), style.act)
    y = net.conv(y, c)
    return net.sum(x, y) if net.shapes[x] == net.shapes[y] else y


def _fused(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    inner = max(1, round(net.shapes[x][1] * min(style.expansion, 6)))
    y = net.conv(x, inner, min(style.kernel, 5), s, act=style.act)
    if style.gate and rng.random() < 0.3:
        y = net.gate(y, rng, round(inner * style.gate), style.act)
    y = net.conv(y, c)
    return net.sum(x, y) if net.shapes[x] == net.shapes[y] else y


def _separable(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    y = net.depthwise(x, style.kernel, s, style.act)
    if style.gate:
        y = net.gate(y, rng, round(net.shapes[y][1] * style.gate), style.act)
    return net.conv(y, c, act=style.act)


def _shortcut(net: _Net, x: str, y: str, rng: Random, s: int) -> str:
    if net.shapes[x] == net.shapes[y]:
        return x
    if s > 1 and rng.random() < 0.4 and net.shapes[x][2] % 2 == 0:
        return net.conv(net.pool(x, "avg_pool2d", 2, 2, 0), net.shapes[y][1])
    return net.conv(x, net.shapes[y][1], 1, s)


def _basic(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    y = net.conv(net.conv(x, c, 3, s, act=style.act), c, 3)
    if style.gate:
        y = net.gate(y, rng, round(c * style.gate), style.act)
    return net.sum(_shortcut(net, x, y, rng, s), y, style.act)


def _bottleneck(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    inner = max(8, round(c * rng.choice((0.25, 0.25, 0.5, 1))))
    groups = 1
    if style.group_width:
        inner = max(1, round(inner / style.group_width)) * style.group_width
        groups = inner // style.group_width
    y = net.conv(x, inner, act=style.act)
    y = net.conv(y, inner, 3, s, groups, style.act)
    if style.gate:
        y = net.gate(y, rng, round(inner * style.gate), style.act)
    y = net.conv(y, c)
    return net.sum(_shortcut(net, x, y, rng, s), y, style.act)


def _plain(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    k = rng.choice((1, 3, 3, 3, style.kernel, (1, 7), (7, 1), (3, 1), (1, 3)))
    return net.conv(x, c, k, s, act=style.act, dilation=rng.choice((1, 1, 1, 1, 2)) if s == 1 else 1)


def _dense(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    if s > 1:
        x = net.pool(net.conv(x, c, act=style.act), "avg_pool2d", 2, 2, 0) if net.shapes[x][2] > 1 else x
    growth = max(4, c // rng.choice((2, 4, 8)))
    parts = [x]
    for _ in range(rng.randint(2, 4)):
        y = net.concat(parts) if len(parts) > 1 else x
        y = net.conv(y, growth * rng.choice((1, 4)), act=style.act)
        parts.append(net.conv(y, growth, 3, act=style.act))
    return net.conv(net.concat(parts), c, act=style.act)


def _ghost(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    def module(z: str, width: int, act: str) -> str:
        primary = net.conv(z, ceil(width / 2), act=act)
        return net.concat([primary, net.depthwise(primary, 3, 1, act)])

    y = module(x, 2 * ceil(net.shapes[x][1] * style.expansion / 2), "relu")
    if s > 1:
        y = net.depthwise(y, style.kernel, s)
    if style.gate:
        y = net.gate(y, rng, round(net.shapes[y][1] * style.gate), "relu")
    y = module(y, 2 * ceil(c / 2), "")
    return net.sum(x, y) if net.shapes[x] == net.shapes[y] else y


def _partial(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    """Cross-stage partial and Res2Net alike: the channels are cut, some go through, all are joined."""
    y = net.conv(x, 4 * max(1, round(c / 4)), 3 if s > 1 else 1, s, act=style.act)
    width, step = net.shapes[y][1], net.shapes[y][1] // rng.choice((2, 4))
    parts, last = [net.slice(y, 0, step)], ""
    for start in range(step, width, step):
        part = net.slice(y, start, min(start + step, width))
        if last and net.shapes[last] == net.shapes[part] and rng.random() < 0.5:
            part = net.sum(part, last)
        last = net.conv(part, net.shapes[part][1], 3, act=style.act)
        parts.append(last)
    return net.conv(net.concat(parts), c, act=style.act)


def _branches(net: _Net, x: str, rng: Random, c: int, s: int, style: _Style) -> str:
    """Inception: parallel convolutions and a pooling, joined."""
    part = max(4, c // 4)
    y = net.conv(x, _width(rng, part), act=style.act)
    z = net.conv(net.conv(x, _width(rng, part), act=style.act), _width(rng, part), rng.choice((3, 5)), s, act=style.act)
    pooled = net.pool(x, rng.choice(("avg_pool2d", "max_pool2d")), 3, s, 1)
    parts = [z, net.conv(pooled, part, act=style.act)]
    if s == 1:
        parts.append(y)
    return net.concat(parts)


_BLOCKS = (
    _ibn, _ibn, _ibn, _fused, _separable, _basic, _bottleneck, _bottleneck,
    _plain, _dense, _ghost, _partial, _branches,
)  # fmt: skip


def _stem(net: _Net, x: str, rng: Random, c: int, act: str) -> str:
    kind = rng.random()
    if kind < 0.6:
        return net.conv(x, c, 3, 2, act=act)
    if kind < 0.8:
        return net.pool(net.conv(x, c, 7, 2, act=act), "max_pool2d", 3, 2, 1)
    x = net.conv(net.conv(x, max(3, c // 2), 3, 2, act=act), c, 3, act=act)
    return net.pool(x, "max_pool2d", 3, 2, 1) if rng.random() < 0.5 else x


def _head(net: _Net, x: str, rng: Random, act: str) -> str:
    kind, classes = rng.random(), rng.choice((1, 2, 10, 100, 1000, 1000, 1000))
    c, r = net.shapes[x][1], net.shapes[x][2]
    if kind < 0.5:
        x = net.conv(x, _width(rng, rng.choice((c * 2, 1280))), act=act)
    x = net.add("mean", [x], (1, net.shapes[x][1]), axes=(2, 3), keepdim=False)
    if kind > 0.8 and r > 1:
        x = net.linear(x, rng.choice((256, 512, 1024)), act if act != "leaky_relu" else "relu")
    return net.linear(x, classes)


def _network(rng: Random) -> Graph | None:
    net = _Net()
    r = rng.choice((32, 48, 64, 96, 96, 112, 128, 128, 160, 160, 192, 192, 224, 224, 224, 256, rng.randint(40, 256)))
    act = rng.choice(_ACTIVATIONS)
    x = net.add("input", [], (1, rng.choice((3, 3, 3, 3, 1, 4)), r, r))
    width = float(rng.choice((8, 16, 16, 24, 32, 32, 48, 64)))
    x = _stem(net, x, rng, _width(rng, width), act)
    kinds = [rng.choice(_BLOCKS) for _ in range(rng.choice((1, 1, 2, 3)))]
    growth = rng.uniform(1.2, 2.1)
    styled = [
        _Style(
            act,
            rng.choice((3, 3, 3, 5, 5, 7)),
            rng.choice((1, 2, 3, 4, 6, 6, rng.uniform(1, 7))),
            rng.choice((0, 0, 0, 0, 1 / 4, 1 / 8, 1 / 16)),
            rng.choice((0, 0, 0, 1, 4, 8, 16, 24, 32, 64)),
        )
        for _ in range(rng.choice((1, 2, 4)))
    ]
    for stage in range(rng.randint(3, 5)):
        width *= growth if stage else rng.choice((1, 1, growth))
        c = _width(rng, width)
        for block in range(rng.randint(1, 4)):
            s = 2 if block == 0 and stage and net.shapes[x][2] >= 8 else 1
            make = rng.choice(kinds)
            x = make(net, x, rng, c, s, rng.choice(styled))
            if len(net.ops) > 220:
                return None
    x = _head(net, x, rng, act)
    return Graph(tuple(net.ops), (x,))
