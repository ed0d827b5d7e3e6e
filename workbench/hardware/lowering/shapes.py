"""Changes of shape and order: reshapes, permutes, slices, concatenations, pads, rolls."""

from math import prod

from ...graph import Op
from ...graph.kinds import RECURRENT
from .network import Lowering, Rule, last

__all__ = ["RULES"]

_IN_ROW = (0, 3, 2)  # where the dimensions of a line [1, C, N] stand in its row [1, 1, N, C]


def _concat(low: Lowering, op: Op) -> bool:
    names = [i for i in op.inputs if i in low.tensor_of]
    constants = tuple((k, i) for k, i in enumerate(op.inputs) if i not in low.tensor_of)
    if not names:
        return False
    rows = [low.row_of(low.tensor_of[i]) for i in names]
    if len(op.shape) == 3 and op["axis"] % 3 and not constants and all(rows):
        shape, axis = (1, 1, op.shape[2], op.shape[1]), _IN_ROW[op["axis"] % 3]
        row = low.step(op, "row", "CONCATENATION", tuple(row for row in rows if row), shape, extra=(axis,))
        low.finish(op, low.as_line(row, op.name, op.name))
        return True
    if any(i in low.plain for i in op.inputs) and len(op.shape) == 4:
        low.plain.add(op.name)
    inputs = tuple(low.operand(op, i) for i in names)
    const = ("values", constants) if constants else None
    turned = (1,) * (constants != () and len(op.shape) == 4 and op.name not in low.plain)
    extra = (low.axis(op["axis"], op.name), *turned)
    low.finish(op, low.step(op, "", "CONCATENATION", inputs, low.shape(op), extra=extra, const=const))
    return True


def _slice(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    states = low.ops[low.tensor_of[source]]
    if low.graph.by_name[source].kind in RECURRENT and states.kind == "CONCATENATION" and op.shape[0] == 1:
        low.finish(op, states.inputs[op["start"]])  # of one step
        return
    if _select(low, op):
        return
    if source in low.plain and len(op.shape) == 4:
        low.plain.add(op.name)
    kind = "SLICE" if op["step"] == 1 else "STRIDED_SLICE"
    stop = min(op["stop"], low.shape_of(source)[op["axis"]])
    row = low.row_of(low.tensor_of[source])
    if row is not None and op["axis"] % 3:
        shape, axis = (1, 1, op.shape[2], op.shape[1]), _IN_ROW[op["axis"] % 3]
        row = low.step(op, "row", kind, (row,), shape, extra=(axis, op["start"], stop, op["step"]))
        low.finish(op, low.as_line(row, op.name, op.name))
        return
    cut = (low.axis(op["axis"], source), op["start"], stop, op["step"])
    low.finish(op, low.step(op, "", kind, (low.tensor_of[source],), low.shape(op), extra=cut))


def _select(low: Lowering, op: Op) -> bool:
    """One of the first dimension of a tensor of rank five or more, such as the queries of windows: a slice of the
    first two dimensions in one, as `deploy.accelerated_forms` has it exported. The compiler for the U55 and U65 dies of
    elementwise operators that read one whose dimension was dropped behind the slice.
    """
    shape, selected = low.shape_of(op.inputs[0]), low.only_user(op)
    if len(shape) < 5 or op["axis"] or selected is None or op.name != f"{selected.name}_slice":
        return False
    x = low.reshape(low.tensor_of[op.inputs[0]], (shape[0] * shape[1], *shape[2:]), f"{op.name}.merged", op.name)
    first = op["start"] * shape[1]
    x = low.step(selected, "", "SLICE", (x,), selected.shape, extra=(0, first, first + shape[1], 1))
    low.absorbed.add(selected.name)
    if len(selected.shape) == 4:
        low.plain.add(selected.name)
    low.tensor_of[op.name] = low.tensor_of[selected.name] = x
    return True


def _roll(low: Lowering, op: Op) -> None:
    """Each axis is cut in two and put together the other way round."""
    source = op.inputs[0]
    if len(op.shape) == 4:
        low.plain.add(op.name)
    x, cuts = low.in_order(source), list(zip(op["axes"], op["shifts"], strict=True))
    cuts = [(axis, shift % op.shape[axis]) for axis, shift in cuts if shift % op.shape[axis]]
    for k, (axis, shift) in enumerate(cuts):
        n, parts = op.shape[axis], []
        for part, start, stop in (("back", n - shift, n), ("front", 0, n - shift)):
            shape = tuple(stop - start if d == axis else m for d, m in enumerate(op.shape))
            parts.append(low.step(op, f"{part}{k}", "SLICE", (x,), shape, extra=(axis, start, stop, 1)))
        name = f"turned{k}" if k + 1 < len(cuts) else ""
        x = low.step(op, name, "CONCATENATION", tuple(parts), op.shape, extra=(axis,))
    low.finish(op, x)


def _pad(low: Lowering, op: Op) -> None:
    low.follow(op)
    x, pads = low.tensor_of[op.inputs[0]], op["pads"]
    row = low.row_of(x) if not any((*pads[0], *pads[1])) else None
    if row is not None and not op.get("value"):  # convolutions pad rows by themselves
        _, c, m = op.shape
        row = low.step(op, "row", "PAD", (row,), (1, 1, m, c), extra=(0, 0, *pads[2]))
        low.finish(op, low.as_line(row, op.name, op.name))
        return
    if len(op.shape) == 4 and op.name not in low.plain:
        pads = tuple(pads[i] for i in (0, 2, 3, 1))
    flat = tuple(n for pair in pads for n in pair)
    if len(op.shape) == 4 and not any(flat[:2] + flat[6:]):
        flat = flat[2:6]
    value = op.get("value") or 0.0
    const = ("scalar", value) if value else None
    low.finish(op, low.step(op, "", "PADV2" if value else "PAD", (x,), low.shape(op), extra=flat, const=const))


def _reflect_pad(low: Lowering, op: Op) -> bool:
    if len(op.shape) != 4:
        return False
    low.follow(op)
    pads = op["pads"] if op.name in low.plain else tuple(op["pads"][i] for i in (0, 2, 3, 1))
    flat = tuple(n for pair in pads for n in pair)
    low.finish(op, low.step(op, "", "MIRROR_PAD", (low.tensor_of[op.inputs[0]],), low.shape(op), extra=flat))
    return True


def _expand(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    shape = low.shape_of(source)
    if len(op.shape) == 4:
        low.plain.add(op.name)
    wide = (*[1] * (len(op.shape) - len(shape)), *shape)
    x = low.reshape(low.in_order(source), wide, f"{op.name}.wide", op.name)
    low.finish(op, low.step(op, "", "BROADCAST_TO", (x,), op.shape))


def _reshape(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    user = low.only_user(op)
    shape = low.shape_of(source)
    if len(op.shape) == 2 and user is not None and user.kind == "linear" and prod(shape) == shape[1] * shape[0]:
        low.tensor_of[op.name] = low.tensor_of[source]  # a 1x1 map goes into the fully connected layer as it is
        return
    if _pooled_line(low, op, user):
        return
    x = low.in_order(source)
    single = len(op.shape) == 4 and op.shape[2:] == (1, 1)  # both orders are the same bytes
    if len(op.shape) == 4 and not single:
        low.plain.add(op.name)
    low.finish(op, low.reshape(x, last(op.shape) if single else op.shape, op.name, op.name))


def _pooled_line(low: Lowering, op: Op, user: Op | None) -> bool:
    """A line before its pool, or the pooled map as a line: pools are of rows, whoever makes the line."""
    source, shape = op.inputs[0], low.shape_of(op.inputs[0])
    row = low.row_of(low.tensor_of[source])
    pools = ("max_pool2d", "adaptive_avg_pool2d") if row else ("max_pool2d",)
    if user is not None and user.kind in pools and op.shape == (*shape[:2], 1, *shape[2:]):
        low.finish(op, low.as_row(low.tensor_of[source], op.name, op.name))
        return True
    pool = low.graph.by_name[source]
    read = low.graph.by_name[pool.inputs[0]] if pool.inputs else pool
    of_line = read.kind == "reshape" and len(low.shape_of(read.inputs[0])) == 3
    if pool.kind in ("max_pool2d", "adaptive_avg_pool2d") and of_line and shape == (*op.shape[:2], 1, *op.shape[2:]):
        low.finish(op, low.as_line(low.tensor_of[source], op.name, op.name))
        return True
    return False


def _permute(low: Lowering, op: Op) -> None:
    source, axes = op.inputs[0], tuple(op["axes"])
    rank = len(axes)
    inner = (0, 2, 3, 1) if rank == 4 and source not in low.plain else tuple(range(rank))
    order = tuple(inner.index(a) for a in axes)  # from the deployed order to torch's order of the result
    if rank == 4 and tuple(order[i] for i in (0, 2, 3, 1)) == (0, 1, 2, 3):
        low.tensor_of[op.name] = low.tensor_of[source]
        return
    if rank == 4:
        low.plain.add(op.name)
    low.finish(op, low.transpose(low.tensor_of[source], order, op.name, op.name))


RULES: dict[str, Rule] = {
    "concat": _concat,
    "slice": _slice,
    "roll": _roll,
    "pad": _pad,
    "reflect_pad": _reflect_pad,
    "expand": _expand,
    "reshape": _reshape,
    "permute": _permute,
}
