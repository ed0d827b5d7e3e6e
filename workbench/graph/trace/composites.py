"""ATen operators that the graph has no kind of its own for, as the operators they consist of.

They are those, in that order, that the deployed route (litert-torch) writes: a pixel shuffle is three reshapes with two
permutes between them, none of more than four dimensions.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from .recurrent_layers import RECURRENT_COMPOSITES
from .steps import CompositeRule, Shape, Steps, Value
from .values import Constant, FeatureMap

__all__ = ["COMPOSITES", "FIRST_RESULTS"]


# ---- channels and pixels ----------------------------------------------------------------------------------------


def _pixel_shuffle(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """(C r r, H, W) -> (C, H r, W r)."""
    x, r = a["self"], a["upscale_factor"]
    if len(out) != 4 or out[0] != 1:
        return None
    (_, c, _, _), (h, w) = out, x.shape[2:]
    y = s.reshape(x, (c, r, r, h * w))
    y = s.reshape(s.permute(y, 0, 1, 3, 2), (c, r, h, w * r))
    return s.reshape(s.permute(y, 0, 2, 1, 3), out)


def _pixel_unshuffle(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """(C, H r, W r) -> (C r r, H, W)."""
    x, r = a["self"], a["downscale_factor"]
    if len(out) != 4 or out[0] != 1:
        return None
    c, (h, w) = x.shape[1], out[2:]
    y = s.permute(s.reshape(x, (c, h, r, w * r)), 0, 2, 1, 3)
    y = s.permute(s.reshape(y, (c, r, h * w, r)), 0, 1, 3, 2)
    return s.reshape(y, out)


def _channel_shuffle(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """Channels (g, C / g) read as (C / g, g)."""
    x, g = a["self"], a["groups"]
    n, c, *rest = out
    y = s.reshape(x, (n, g, c // g, *rest))
    return s.reshape(s.permute(y, 0, 2, 1, *range(3, len(y.shape))), out)


def _glu(s: Steps, a: Mapping[str, Any], out: Shape) -> Value:
    """The first half times the sigmoid of the second."""
    x, axis = a["self"], a["dim"] % len(out)
    half = out[axis]
    first, second = s.cut(x, axis, 0, half), s.cut(x, axis, half, 2 * half)
    return s.step("mul", [first, s.step("sigmoid", [second], out)], out)


def _repeat_interleave(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """Every element of a dimension several times: an axis of its own, expanded."""
    x, axis, times = a["self"], a["dim"], a.get("repeats")
    if axis is None or not isinstance(times, int) or x.shape[axis] == 1:
        return None
    axis %= len(out)
    front, back = x.shape[: axis + 1], x.shape[axis + 1 :]
    y = s.reshape(x, (*front, 1, *back))
    wide = (*front, times, *back)
    return s.reshape(s.step("expand", [y], wide, size=wide), out)


def _same_convolution(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """padding="same" with a kernel of even length: one more element behind."""
    x, weight, bias = a["input"], a["weight"], a["bias"]
    if a["padding"] != "same" or not isinstance(weight, Constant) or len(out) != 4:
        return None
    dilation = tuple(a["dilation"]) * (2 // len(a["dilation"]))
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    extra = [n % 2 for n in total]
    if not any(extra):
        return None  # the layer's own padding says it
    shape = tuple(n + e for n, e in zip(x.shape, (0, 0, *extra), strict=True))
    padded = s.step("pad", [x], shape, pads=((0, 0), (0, 0), *((0, e) for e in extra)), value=0.0)
    roles = {"weight": weight, **({"bias": bias} if isinstance(bias, Constant) else {})}
    return s.step(
        "conv2d", [padded], out, roles, kernel=tuple(weight.shape[2:]), stride=(1, 1),
        padding=tuple(n // 2 for n in total), dilation=dilation, groups=a["groups"],
    )  # fmt: skip


# ---- elementwise ------------------------------------------------------------------------------------------------


def _log_sigmoid(s: Steps, a: Mapping[str, Any], out: Shape) -> Value:
    """min(x, 0) - log(exp(-|x|) + 1)."""
    x = a["self"]
    least = s.step("minimum", [x], out, scalar=0.0)
    y = s.step("exp", [s.step("neg", [s.step("abs", [x], out)], out)], out)
    y = s.step("log", [s.step("add", [y], out, scalar=1.0)], out)
    return s.step("sub", [least, y], out)


# ---- products ---------------------------------------------------------------------------------------------------


def _einsum(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
    """Two operands whose letters are a matrix product: batch, rows, columns and what is summed over."""
    letters, _, result = a["equation"].replace(" ", "").partition("->")
    terms, values = letters.split(","), list(a["tensors"])
    if len(terms) != 2 or not result or "." in a["equation"] or not all(isinstance(v, FeatureMap) for v in values):
        return None  # by a tensor of the model it is a layer without the layer's name
    if any(len(set(term)) != len(term) for term in (*terms, result)):
        return None
    left, right = terms
    sizes = {c: n for t, v in zip(terms, values, strict=True) for c, n in zip(t, v.shape, strict=True)}
    batch = [c for c in result if c in left and c in right]
    rows, columns = (
        [c for c in result if c in own and c not in other] for own, other in ((left, right), (right, left))
    )
    summed = [c for c in left if c in right and c not in result]
    if not summed or len(left) != len(batch + rows + summed) or len(right) != len(batch + columns + summed):
        return None

    def matrices(value: Value, term: str, *parts: list[str]) -> Value:
        y = s.permute(value, *(term.index(c) for part in parts for c in part))
        return s.reshape(y, tuple(prod(sizes[c] for c in part) for part in parts))

    x = matrices(values[0], left, batch, rows, summed)
    y = matrices(values[1], right, batch, summed, columns)
    product = s.step("matmul", [x, y], (x.shape[0], x.shape[1], y.shape[2]))
    whole = [*batch, *rows, *columns]
    z = s.reshape(product, tuple(sizes[c] for c in whole))
    return s.permute(z, *(whole.index(c) for c in result))


# ---- pools of lines ---------------------------------------------------------------------------------------------


def _pool1d(kind: str) -> CompositeRule:
    """A pool of a map of one row."""

    def rule(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
        if len(out) != 3 or (kind == "avg_pool2d" and not a["padding"][0] and not a["ceil_mode"]):
            return None
        kernel, stride = a["kernel_size"][0], (a["stride"] or a["kernel_size"])[0]
        more: dict[str, Any] = {"dilation": (1, a["dilation"][0])} if kind == "max_pool2d" else {
            "count_include_pad": a["count_include_pad"]
        }  # fmt: skip
        y = s.step(
            kind, [_row(s, a["self"])], (*out[:2], 1, out[2]), kernel=(1, kernel), stride=(1, stride),
            padding=(0, a["padding"][0]), ceil=a["ceil_mode"], **more,
        )  # fmt: skip
        return s.reshape(y, out)

    return rule


def _adaptive_pool1d(kind: str) -> CompositeRule:
    def rule(s: Steps, a: Mapping[str, Any], out: Shape) -> Value | None:
        if len(out) != 3:
            return None
        if out[2] == 1 and kind == "adaptive_avg_pool2d":
            return s.step("mean", [a["self"]], out, axes=(2,), keepdim=True)
        y = s.step(kind, [_row(s, a["self"])], (*out[:2], 1, out[2]), size=(1, out[2]))
        return s.reshape(y, out)

    return rule


def _row(s: Steps, x: Value) -> Value:
    """A line [N, C, L] as a map of one row."""
    return s.reshape(x, (*x.shape[:2], 1, x.shape[2]))


COMPOSITES: Mapping[str, CompositeRule] = {
    "max_pool1d": _pool1d("max_pool2d"),
    "max_pool1d_with_indices": _pool1d("max_pool2d"),
    "avg_pool1d": _pool1d("avg_pool2d"),
    "adaptive_avg_pool1d": _adaptive_pool1d("adaptive_avg_pool2d"),
    "adaptive_max_pool1d": _adaptive_pool1d("adaptive_max_pool2d"),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "glu": _glu,
    "repeat_interleave": _repeat_interleave,
    "conv2d": _same_convolution,
    "log_sigmoid": _log_sigmoid,
    "einsum": _einsum,
    **RECURRENT_COMPOSITES,
}
# operators of several results -> the name under which the rules know what makes the first one
FIRST_RESULTS: Mapping[str, str] = {
    "max": "amax",
    "min": "amin",
    "adaptive_max_pool2d": "adaptive_max_pool2d",
    "max_pool2d_with_indices": "max_pool2d",
}
