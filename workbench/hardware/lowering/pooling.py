"""Pooling, reductions and resizing."""

from typing import Any

from ...graph import Op
from .layers import is_same, pad_map
from .network import Lowering, Rule, last

__all__ = ["RULES"]

_REDUCE = {"mean": "MEAN", "sum": "SUM", "amax": "REDUCE_MAX"}  # the last one on real numbers


def _reduce(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    axes = tuple(sorted(low.axis(a, source) for a in op["axes"]))
    end, shape, keep = op, op.shape, int(op["keepdim"])
    user = low.only_user(op)
    if keep and user is not None and user.kind == "reshape" and len(user.shape) == 2:
        low.absorbed.add(user.name)
        end, shape, keep = user, user.shape, 0
    x = low.tensor_of[source]
    if (
        not keep
        and len(shape) > 1
        and len(low.shape_of(source)) == 4
        and source not in low.plain
        and 1 not in op["axes"]
    ):
        kept = [d for d in range(1, 4) if d not in op["axes"]]
        if kept not in ([1], [2, 3], [2], [3]):  # the dimensions that stay would stand channels last
            x = low.in_order(source)
            axes = tuple(sorted(op["axes"]))
    if len(shape) == 4 and source in low.plain:
        low.plain.add(end.name)
    deployed = shape if end.name in low.plain else last(shape)
    more: dict[str, Any] = {"extra": (keep, *axes), "sources": (op.name,)}
    if op.kind == "amax":
        x = low.real(end, "REDUCE_MAX", x, deployed, **more)
    else:
        x = low.step(end, "", _REDUCE[op.kind], (x,), deployed, **more)
    low.tensor_of[op.name] = low.tensor_of[end.name] = x


def _amin(low: Lowering, op: Op) -> None:
    """Of integers, in torch's order; an axis of one element comes back by a reshape."""
    source = low.shape_of(op.inputs[0])
    kept = tuple(n for axis, n in enumerate(source) if axis not in op["axes"])
    same_bytes = len(op.shape) == 4 and (op.shape[1] == 1 or op.shape[2:] == (1, 1))  # channels first or last
    if len(op.shape) == 4 and not same_bytes:
        low.plain.add(op.name)
    x = low.in_order(op.inputs[0])
    name = "dropped" if op["keepdim"] else ""
    x = low.step(op, name, "REDUCE_MIN", (x,), kept, extra=(0, *sorted(op["axes"])))
    low.finish(op, low.reshape(x, low.shape(op), op.name, op.name))


def _max_pool2d(low: Lowering, op: Op) -> bool:
    return _pool(low, op, "MAX_POOL_2D", "PADV2")


def _avg_pool2d(low: Lowering, op: Op) -> bool:
    return _pool(low, op, "AVERAGE_POOL_2D", "PAD")


def _pool(low: Lowering, op: Op, kind: str, pad: str) -> bool:
    if any(d != 1 for d in op.get("dilation") or (1, 1)) or len(op.shape) != 4:
        return False
    x, source = low.as_map(op.inputs[0]), low.shape_of(op.inputs[0])
    same = is_same(source[2:], op["kernel"], op["stride"], op["padding"], (1, 1))
    # torch pads both sides alike; a ceiling may need more behind
    after = [
        max(
            op["padding"][i],
            (op.shape[2 + i] - 1) * op["stride"][i] + op["kernel"][i] - source[2 + i] - op["padding"][i],
        )
        for i in (0, 1)
    ]
    if not same and (any(op["padding"]) or any(after)):
        (ph, pw), (ah, aw) = op["padding"], after
        x = pad_map(low, op, x, last(source), (ph, ah, pw, aw), pad)
        same = False
    same = same and any(op["padding"])
    x = low.step(op, "", kind, (x,), last(op.shape), stride=op["stride"], kernel=op["kernel"], same=same)
    low.finish(op, x)
    return True


def _avg_pool1d(low: Lowering, op: Op) -> bool:
    """A pool of height 1."""
    if len(op.shape) != 3:
        return False
    (_, c, n), (_, _, m) = low.shape_of(op.inputs[0]), op.shape
    x = low.reshape(low.in_order(op.inputs[0]), (1, c, 1, n), f"{op.name}.wide", op.name)
    x = low.transpose(x, (0, 2, 3, 1), f"{op.name}.nhwc", op.name)
    kernel, stride = (1, op["kernel"]), (1, op["stride"])
    x = low.step(op, "pool", "AVERAGE_POOL_2D", (x,), (1, 1, m, c), kernel=kernel, stride=stride)
    x = low.transpose(x, (0, 3, 1, 2), f"{op.name}.nchw", op.name)
    low.finish(op, low.reshape(x, op.shape, op.name, op.name))
    return True


def _adaptive_pool2d(low: Lowering, op: Op) -> bool:
    """Windows of one size, side by side."""
    size, out = low.shape_of(op.inputs[0])[2:], op.shape[2:]
    if any(n % m for n, m in zip(size, out, strict=True)):
        return False
    step = (size[0] // out[0], size[1] // out[1])
    x = low.as_map(op.inputs[0])
    kind = "AVERAGE_POOL_2D" if op.kind == "adaptive_avg_pool2d" else "MAX_POOL_2D"
    low.finish(op, low.step(op, "", kind, (x,), last(op.shape), stride=step, kernel=step))
    return True


def _resize(low: Lowering, op: Op) -> bool:
    kinds = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}
    if op["mode"] not in kinds:
        return False
    x, size = low.as_map(op.inputs[0]), op.shape[2:] + (1,) * bool(op.get("align_corners"))
    low.finish(op, low.step(op, "", kinds[op["mode"]], (x,), last(op.shape), extra=size))
    return True


RULES: dict[str, Rule] = {
    **dict.fromkeys(_REDUCE, _reduce),
    "amin": _amin,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "avg_pool1d": _avg_pool1d,
    "adaptive_avg_pool2d": _adaptive_pool2d,
    "adaptive_max_pool2d": _adaptive_pool2d,
    "resize": _resize,
}
