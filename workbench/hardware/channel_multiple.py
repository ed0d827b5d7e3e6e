"""Which multiple of channels a target favours, found in a sweep of measured networks, one a width.

Four equal convolutions at 56 x 56 with c channels, c = 12, 13, ..., 131, once 1 x 1 and once 3 x 3, each a network of
its own. With y(c) the measured cycles,

    r(c) = log y(c) - (a + b log c + d log^2 c)     what a width costs beyond the trend (least squares)
    R(m) = mean of r over odd multiples of m        m = 1, 2, 4, ..., 64: every width is in one class

and the favourable multiple is the smallest m with R(m) <= R_best / 5, where R_best is the lowest of all classes: the
first class that brings a fair part of what the best widths bring. Larger ones may bring more, but leave fewer widths.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..files import home, write_atomic
from ..graph import Graph, Op, Param
from .target import Target

__all__ = ["CHANNELS", "KERNELS", "channel_multiple", "favourable_multiple", "measure_multiple", "sweep_network"]

CHANNELS = range(12, 132)
KERNELS = (1, 3)
_CLASSES = (1, 2, 4, 8, 16, 32, 64)
_PART = 0.2


def sweep_network(channels: int, kernel: int) -> Graph:
    """Four convolutions of `channels` to `channels` at 56 x 56."""
    shape = (1, channels, 56, 56)
    attrs = (
        ("dilation", (1, 1)), ("groups", 1), ("kernel", (kernel, kernel)), ("padding", (kernel // 2, kernel // 2)),
        ("stride", (1, 1)),
    )  # fmt: skip
    ops = [Op("x", "input", (), shape)]
    for i in range(4):
        weight = Param("weight", f"conv{i}.weight", (channels, channels, kernel, kernel))
        bias = Param("bias", f"conv{i}.bias", (channels,))
        ops.append(Op(f"conv{i}", "conv2d", (ops[-1].name,), shape, attrs, (weight, bias)))
    return Graph(tuple(ops), (ops[-1].name,))


def favourable_multiple(cycles: Mapping[int, np.ndarray]) -> int:
    """The multiple from sweeps: kernel -> cycles at every width of `CHANNELS`.

    >>> stairs = np.array([-(-c // 16) for c in CHANNELS], float)
    >>> favourable_multiple({1: stairs, 3: stairs**2})
    16
    """
    widths = np.array(CHANNELS)
    x = np.log(widths)
    beyond = []
    for values in cycles.values():
        y = np.log(values)
        r = y - np.polyval(np.polyfit(x, y, 2), x)
        beyond.append([r[(widths % m == 0) & (widths % (2 * m) != 0)].mean() for m in _CLASSES])
    by_class = np.mean(beyond, axis=0)
    return next(m for m, r in zip(_CLASSES, by_class, strict=True) if r <= _PART * by_class.min())


def measure_multiple(target: Target) -> int:
    """Sweep the widths on the target and keep the multiple for `channel_multiple`; some ten seconds on a compiler."""
    cycles: dict[int, np.ndarray] = {}
    for kernel in KERNELS:
        latencies = [target.measure_graph(sweep_network(c, kernel)).latency_ms for c in CHANNELS]
        cycles[kernel] = np.array([np.nan if ms is None else ms for ms in latencies])
    multiple = favourable_multiple(cycles)
    path = _own_file(target.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"target": target.name, "multiple": multiple}).encode())
    return multiple


def channel_multiple(digest: str, accelerator: str) -> int:
    """The multiple of a configuration: the one the user's sweep gave, else the one shipped for the accelerator."""
    path = _own_file(digest)
    if path.is_file():
        return int(json.loads(path.read_text(encoding="utf-8"))["multiple"])
    return _shipped()[accelerator]


def _own_file(digest: str) -> Path:
    return home() / "multiples" / f"{digest}.json"


@cache
def _shipped() -> Mapping[str, int]:
    # written by tools/channel_multiples.py
    data: Mapping[str, int] = json.loads((files(__package__) / "channel_multiples.json").read_text(encoding="utf-8"))
    return data
