"""Pooling, reductions and resizing."""

from collections.abc import Sequence
from math import prod

from ...graph import Op
from .adaptive_windows import passes
from .hw_operator import HwOp, Shape
from .layers import is_same, pad_map
from .network import Lowering, Rule, last

__all__ = ["RULES", "TRAILING", "window_of_largest"]

TRAILING = ((3,), (2, 3))  # dimensions, as they are deployed, that are those of a matrix's rows

_REDUCE = {"mean": "MEAN", "sum": "SUM"}
_LONGEST, _LARGEST = 256, 65536  # rows, and elements, of a window that accelerators pool


def _reduce(low: Lowering, op: Op) -> None:
    """A mean or sum of a tensor of rank four as `deploy.channels_last` has it exported; others in their own order."""
    source, kind = op.inputs[0], _REDUCE[op.kind]
    shape = low.shape_of(source)
    a_map = len(shape) == 4 and source not in low.plain
    axes = tuple(sorted(low.axis(a, source) for a in op["axes"]))
    if axes == (2,) and (row := low.row_of(low.tensor_of[source])) is not None:
        x = low.step(op, "pixel", kind, (row,), (1, 1, 1, shape[1]), extra=(1, 1, 2))
        low.finish(op, low.reshape(x, op.shape, op.name, op.name))
        return
    if len(shape) == 4 and axes in TRAILING:
        _of_rows(low, op, axes, last(shape) if a_map else shape)
        return
    if a_map and axes in ((1,), (2,)) and not op["keepdim"]:
        n, c, k = op.shape
        x = low.step(op, "lines", kind, (low.tensor_of[source],), (n, k, c), extra=(0, *axes))
        low.finish(op, low.transpose(x, (0, 2, 1), op.name, op.name))
        return
    end, keep = op, int(op["keepdim"])
    user = low.only_user(op)
    if keep and user is not None and user.kind == "reshape" and len(user.shape) == 2:
        low.absorbed.add(user.name)
        end, keep = user, 0
    x, axes, shape = _reduced(low, op, end, keep)
    x = low.step(end, "", kind, (x,), shape, extra=(keep, *axes), sources=(op.name,))
    low.tensor_of[op.name] = low.tensor_of[end.name] = x


def _of_rows(low: Lowering, op: Op, axes: Shape, shape: Shape) -> None:
    """Over the last dimensions of the deployed tensor: those of the rows of a matrix.

    As they are, the last dimension among them, they would be left to the CPU.
    """
    source, first = op.inputs[0], axes[0]
    rows, length = prod(shape[:first]), prod(shape[first:])
    x = low.reshape(low.tensor_of[source], (rows, length), f"{op.name}.matrix", op.name)
    x = low.step(op, "rows", _REDUCE[op.kind], (x,), (rows,), extra=(0, 1))
    if op["keepdim"] and source in low.plain:
        low.plain.add(op.name)
    low.finish(op, low.reshape(x, low.shape(op) if op["keepdim"] else op.shape, op.name, op.name))


def _reduced(low: Lowering, op: Op, end: Op, keep: int) -> tuple[str, Shape, Shape]:
    """The deployed tensor that a reduction reads, the dimensions it takes of it, and the shape of what it leaves."""
    source = op.inputs[0]
    axes, x = tuple(sorted(low.axis(a, source) for a in op["axes"])), low.tensor_of[source]
    a_map = len(low.shape_of(source)) == 4 and source not in low.plain
    if not keep and len(end.shape) > 1 and a_map and 1 not in op["axes"]:
        kept = [d for d in range(1, 4) if d not in op["axes"]]
        if kept not in ([1], [2, 3], [2], [3]):  # the dimensions that stay would stand channels last
            x, axes = low.in_order(source), tuple(sorted(op["axes"]))
    if len(end.shape) == 4 and source in low.plain:
        low.plain.add(end.name)
    return x, axes, end.shape if end.name in low.plain else last(end.shape)


def _amax(low: Lowering, op: Op) -> None:
    """Over rows, columns or both of a map it is a max pool; elsewhere an operator on real numbers.

    As a pool over the rows of a matrix, one channel deep, it would need 16 times the memory.
    """
    source = low.shape_of(op.inputs[0])
    window = None if op.inputs[0] in low.plain else window_of_largest(source, op["axes"])
    if window is None:
        keep = int(op["keepdim"])
        x, axes, shape = _reduced(low, op, op, keep)
        low.finish(op, low.real(op, "REDUCE_MAX", x, shape, extra=(keep, *axes)))
        return
    shape = (*source[:2], *(n // k for n, k in zip(source[2:], window, strict=True)))
    part, x = "" if op["keepdim"] else "pool", low.tensor_of[op.inputs[0]]
    x = low.step(op, part, "MAX_POOL_2D", (x,), last(shape), stride=window, kernel=window)
    if not op["keepdim"]:
        x = low.transpose(x, (0, 3, 1, 2), f"{op.name}.nchw", op.name)
        x = low.reshape(x, op.shape, op.name, op.name)
    low.finish(op, x)


def window_of_largest(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int] | None:
    """The one window a row, column or map of `shape` [N, C, H, W] whose max pool is the largest value over the axes.

    None where the axes are others, or where accelerators pool no window so large.
    """
    if len(shape) != 4 or not axes or not set(axes) <= {2, 3}:
        return None
    rows, columns = (shape[a] if a in axes else 1 for a in (2, 3))
    return (rows, columns) if rows <= _LONGEST and rows * columns <= _LARGEST else None


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
    _, c, m = op.shape
    x = low.as_row(low.in_order(op.inputs[0]), op.name, op.name)
    kernel, stride = (1, op["kernel"]), (1, op["stride"])
    x = low.step(op, "pool", "AVERAGE_POOL_2D", (x,), (1, 1, m, c), kernel=kernel, stride=stride)
    low.finish(op, low.as_line(x, op.name, op.name))
    return True


def _adaptive_pool2d(low: Lowering, op: Op) -> bool:
    """Pools of windows of one size each (see `adaptive_windows`)."""
    if len(op.shape) != 4:
        return False
    kind = "AVERAGE_POOL_2D" if op.kind == "adaptive_avg_pool2d" else "MAX_POOL_2D"
    x, pools = low.as_map(op.inputs[0]), passes(low.shape_of(op.inputs[0])[2:], op.shape[2:])
    for k, (rows, columns) in enumerate(pools):
        axis, runs = (1, rows) if len(rows) > 1 else (2, columns)
        end = "" if k == len(pools) - 1 else "columns"
        parts = []
        for i, run in enumerate(runs):
            row, column = (run, columns[0]) if axis == 1 else (rows[0], run)
            y, (n, h, w, c) = x, low.ops[x].shape
            if len(runs) > 1:
                cut = (n, run.stop - run.start, w, c) if axis == 1 else (n, h, run.stop - run.start, c)
                y = low.step(op, f"{end}cut{i}", "SLICE", (x,), cut, extra=(axis, run.start, run.stop, 1))
            parts.append(
                low.step(
                    op, f"{end}pool{i}" if len(runs) > 1 else end, kind, (y,), (n, row.windows, column.windows, c),
                    stride=(row.stride, column.stride), kernel=(row.kernel, column.kernel),
                )
            )  # fmt: skip
        x = parts[0]
        if len(parts) > 1:
            shape = (n, sum(run.windows for run in rows), sum(run.windows for run in columns), c)
            x = low.step(op, end, "CONCATENATION", tuple(parts), shape, extra=(axis,))
    low.finish(op, x)
    return True


def _bicubic(low: Lowering, op: Op) -> None:
    """Columns, then rows, each by a fully connected layer over the last dimension."""
    source = op.inputs[0]
    _, c, h, w = low.shape_of(source)
    x = low.transpose(
        low.tensor_of[source], (0, 2, 1, 3) if source in low.plain else (0, 1, 3, 2), f"{op.name}.columns", op.name
    )
    for label, axis, before, other in (("wide", 3, w, h), ("high", 2, h, op.shape[3])):
        after = op.shape[axis]
        if after != before:
            x = low.emit(
                HwOp(
                    f"{op.name}.{label}", "FULLY_CONNECTED", (x,), (op.shape[0], other, c, after), (op.name,),
                    weight=(after, before), folds=(op.name,), extra=(axis,),
                )
            )  # fmt: skip
        if axis == 3:
            x = low.transpose(x, (0, 3, 2, 1), f"{op.name}.rows", op.name)
    low.finish(op, low.transpose(x, (0, 3, 1, 2), op.name, op.name))


def _resize(low: Lowering, op: Op) -> bool:
    if op["mode"] == "bicubic" and len(op.shape) == 4:
        _bicubic(low, op)
        return True
    kinds = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}
    if op["mode"] not in kinds:
        return False
    x, size = low.as_map(op.inputs[0]), op.shape[2:] + (1,) * bool(op.get("align_corners"))
    low.finish(op, low.step(op, "", kinds[op["mode"]], (x,), last(op.shape), extra=size))
    return True


RULES: dict[str, Rule] = {
    **dict.fromkeys(_REDUCE, _reduce),
    "amax": _amax,
    "amin": _amin,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "avg_pool1d": _avg_pool1d,
    "adaptive_avg_pool2d": _adaptive_pool2d,
    "adaptive_max_pool2d": _adaptive_pool2d,
    "resize": _resize,
}
