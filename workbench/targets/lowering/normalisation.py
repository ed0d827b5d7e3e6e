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
    made = low.step(end, "", "ADD", (x,), shape, act=act, const=("bias", op.name), sources=(op.name, end.name))
    low.at[op.name] = low.at[end.name] = made


def _layer_norm(low: Lowering, op: Op) -> None:
    """(1, N, C), whatever the rank: x / s + (0 - m / s), then scale and shift."""
    source, c = op.inputs[0], prod(op.shape[a] for a in op["axes"])
    n = op.elements // c
    shape, column = (1, n, c), (1, n, 1)
    x = low.reshape(low.in_order(source), shape, f"{op.name}.flat", op.name)
    mean = low.step(op, "mean", "MEAN", (x,), (n,), extra=(0, 2))
    wide = low.reshape(mean, column, f"{op.name}.mean.column", op.name)
    square = low.step(op, "square", "SQUARED_DIFFERENCE", (x, wide), shape)
    variance = low.step(op, "variance", "MEAN", (square,), (n,), extra=(0, 2))
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


def _group_norm(low: Lowering, op: Op) -> bool:
    """(1, G, C / G, everything else): one scale and one shift a channel, from those of its group."""
    if op.param("weight") is None or op.param("bias") is None:
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
    shift = low.step(op, "bias", "ADD", (shift,), channel, const=("bias", op.name))
    column = (1, c, *[1] * (len(op.shape) - 2))
    gain = low.reshape(gain, column, f"{op.name}.weight.column", op.name)
    shift = low.reshape(shift, column, f"{op.name}.bias.column", op.name)
    x = low.step(op, "scaled", "MUL", (source, gain), op.shape)
    low.finish(op, low.step(op, "", "ADD", (x, shift), op.shape))
    return True


RULES: dict[str, Rule] = {"batch_norm": _batch_norm, "layer_norm": _layer_norm, "group_norm": _group_norm}
