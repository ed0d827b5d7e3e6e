"""Norms that stand alone.

N, C    positions and normalised channels of a layer norm
G       groups of a group norm
"""

from math import prod

from ...graph import Op
from .network import Lowering, Rule, last

__all__ = ["RULES"]


def _batch_norm(low: Lowering, op: Op) -> None:
    x, shape = low.as_map(op.inputs[0]), last(op.shape)
    for kind, what in (("SUB", "mean"), ("MUL", "rsqrt"), ("MUL", "weight")):
        x = low.step(op, what, kind, (x,), shape, const=(what, op.name))
    end, act = low.activation(op)
    result = low.step(end, "", "ADD", (x,), shape, act=act, const=("bias", op.name), sources=(op.name, end.name))
    low.tensor_of[op.name] = low.tensor_of[end.name] = result


def _layer_norm(low: Lowering, op: Op) -> None:
    """(1, N, C), whatever the rank: x / s + (0 - m / s), then scale and shift."""
    source, c = op.inputs[0], prod(op.shape[a] for a in op["axes"])
    n = op.elements // c
    shape, column = (1, n, c), (1, n, 1)
    x = low.reshape(low.in_order(source), shape, f"{op.name}.flat", op.name)
    mean = low.step(op, "mean", "MEAN", (x,), (n,), extra=(0, 0, 2))
    wide = low.reshape(mean, column, f"{op.name}.mean.column", op.name)
    square = low.step(op, "square", "SQUARED_DIFFERENCE", (x, wide), shape)
    variance = low.step(op, "variance", "MEAN", (square,), (n,), extra=(0, 0, 2))
    variance = low.step(op, "eps", "ADD", (variance,), (n,), const=("scalar", op["eps"]))
    gain = low.step(op, "rsqrt", "RSQRT", (variance,), (n,))
    shift = low.step(op, "offset", "MUL", (gain, mean), (n,))
    shift = low.step(op, "negated", "SUB", (shift,), (n,), const=("scalar", 0.0), const_first=True)
    gain = low.reshape(gain, column, f"{op.name}.rsqrt.column", op.name)
    shift = low.reshape(shift, column, f"{op.name}.negated.column", op.name)
    x = low.step(op, "scaled", "MUL", (x, gain), shape)
    x = low.step(op, "normed", "ADD", (x, shift), shape)
    for kind, what in (("MUL", "weight"), ("ADD", "bias")):
        if op.param(what) is not None:
            x = low.step(op, what, kind, (x,), shape, const=(what, op.name))
    if len(op.shape) == 4:
        low.plain.add(op.name)
    low.finish(op, low.reshape(x, op.shape, op.name, op.name))


def _rms_norm(low: Lowering, op: Op) -> None:
    source, axes, rank = op.inputs[0], op["axes"], len(op.shape)
    row = tuple(1 if a in axes else d for a, d in enumerate(op.shape))
    flat = tuple(d for a, d in enumerate(op.shape) if a not in axes)
    if rank == 4:
        low.plain.add(op.name)
    source = low.in_order(source)
    x = low.step(op, "square", "MUL", (source, source), op.shape)
    x = low.step(op, "mean", "MEAN", (x,), flat, extra=(0, *axes))
    x = low.step(op, "eps", "ADD", (x,), flat, const=("scalar", op["eps"]))
    x = low.reshape(x, row, f"{op.name}.row", op.name)
    x = low.step(op, "rsqrt", "RSQRT", (x,), row)
    weight = op.param("weight") is not None
    x = low.step(op, "scaled" if weight else "", "MUL", (source, x), op.shape)
    if weight:
        x = low.step(op, "", "MUL", (x,), op.shape, const=("weight", op.name))
    low.finish(op, x)


def _norm(low: Lowering, op: Op) -> None:
    """The root of the sum of squares; a division by it along the last axis is one operator on real numbers."""
    source, rank = op.inputs[0], len(low.shape_of(op.inputs[0]))
    least = low.only_user(op)
    by = low.only_user(least) if least is not None and least.kind == "clamp" and least["high"] is None else None
    if by is not None and by.kind == "div" and by.inputs[0] == source and op["axes"] == (rank - 1,):
        assert least is not None
        low.absorbed.update((least.name, by.name))
        if rank == 4:
            low.plain.add(by.name)
        low.finish(by, low.real(by, "L2_NORMALIZATION", low.in_order(source), by.shape))
        return
    if len(op.shape) == 4:
        low.follow(op)
    x = low.tensor_of[source] if op["keepdim"] else low.in_order(source)
    axes = tuple(sorted(low.axis(a, source) if op["keepdim"] else a for a in op["axes"]))
    squares = low.step(op, "squares", "MUL", (x, x), low.ops[x].shape)
    total = low.step(op, "sum", "SUM", (squares,), low.shape(op), extra=(int(op["keepdim"]), *axes))
    low.finish(op, low.step(op, "", "SQRT", (total,), low.shape(op)))


def _var(low: Lowering, op: Op) -> None:
    """The sum of the squared differences from the mean, divided by their number."""
    source, axes, rank = op.inputs[0], op["axes"], len(low.shape_of(op.inputs[0]))
    whole = low.shape_of(source)
    row = tuple(1 if a in axes else d for a, d in enumerate(whole))
    if rank == 4 and source not in low.plain and op["keepdim"]:
        axes = tuple(sorted(low.axis(a, source) for a in axes))
        whole, row, source = last(whole), last(row), low.tensor_of[source]
    else:
        source = low.in_order(source)
        if len(op.shape) == 4:
            low.plain.add(op.name)
    mean = low.step(op, "mean", "MEAN", (source,), row, extra=(1, *axes))
    x = low.step(op, "centred", "SUB", (source, mean), whole)
    x = low.step(op, "square", "MUL", (x, x), whole)
    x = low.step(op, "sum", "SUM", (x,), low.shape(op), extra=(int(op["keepdim"]), *axes))
    count = prod(whole) // prod(row) - op["correction"]
    low.finish(op, low.step(op, "", "MUL", (x,), low.shape(op), const=("scalar", 1 / max(count, 1))))


def _group_norm(low: Lowering, op: Op) -> bool:
    """(1, G, C / G, everything else): one scale and one shift a channel, from those of its group."""
    if op.param("weight") is None:
        return False
    g, c = op["groups"], op.shape[1]
    whole, group, channel = (1, g, c // g, op.elements // c), (1, g, 1, 1), (1, g, c // g, 1)
    if len(op.shape) == 4:
        low.plain.add(op.name)
    source = low.in_order(op.inputs[0])
    x = low.reshape(source, whole, f"{op.name}.groups", op.name)
    mean = low.step(op, "mean", "MEAN", (x,), group, extra=(1, 2, 3))
    x = low.step(op, "centred", "SUB", (x, mean), whole)
    x = low.step(op, "square", "MUL", (x, x), whole)
    x = low.step(op, "variance", "MEAN", (x,), group, extra=(1, 2, 3))
    x = low.step(op, "eps", "ADD", (x,), group, const=("scalar", op["eps"]))
    gain = low.step(op, "rsqrt", "RSQRT", (x,), group)
    gain = low.step(op, "weight", "MUL", (gain,), channel, const=("weight", op.name))
    mean = low.step(op, "negated", "MUL", (mean,), group, const=("scalar", -1.0))
    shift = low.step(op, "offset", "MUL", (mean, gain), channel)
    if op.param("bias") is not None:
        shift = low.step(op, "bias", "ADD", (shift,), channel, const=("bias", op.name))
    column = (1, c, *[1] * (len(op.shape) - 2))
    gain = low.reshape(gain, column, f"{op.name}.weight.column", op.name)
    shift = low.reshape(shift, column, f"{op.name}.bias.column", op.name)
    x = low.step(op, "scaled", "MUL", (source, gain), op.shape)
    low.finish(op, low.step(op, "", "ADD", (x, shift), op.shape))
    return True


def _instance_norm(low: Lowering, op: Op) -> bool:
    """(1, C, H, W) in torch's order, every channel by its own statistics."""
    if len(op.shape) != 4 or op.shape[0] != 1:
        return False
    low.plain.add(op.name)
    c, column, shape = op.shape[1], (1, op.shape[1], 1, 1), op.shape
    x = low.in_order(op.inputs[0])
    mean = low.step(op, "mean", "MEAN", (x,), column, extra=(1, 0, 2, 3))
    x = low.step(op, "centred", "SUB", (x, mean), shape)
    y = low.step(op, "square", "MUL", (x, x), shape)
    y = low.step(op, "variance", "MEAN", (y,), (c,), extra=(0, 0, 2, 3))
    y = low.step(op, "eps", "ADD", (y,), (c,), const=("scalar", op["eps"]))
    y = low.reshape(y, column, f"{op.name}.column", op.name)
    y = low.step(op, "rsqrt", "RSQRT", (y,), column)
    x = low.step(op, "normed", "MUL", (x, y), shape)
    for kind, what in (("MUL", "weight"), ("ADD", "bias")):
        if op.param(what) is not None:
            x = low.step(op, what, kind, (x,), shape, const=(what, op.name))
    low.finish(op, x)
    return True


RULES: dict[str, Rule] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    "instance_norm": _instance_norm,
    "norm": _norm,
    "var": _var,
}
