"""Operators that only move data, as copies.

Rules, read off the compiler (Ethos-U Vela 5.2):

* of a concatenation, the parts that could not be written in place, and those that are constant
* of padding, the input unless it is made inside of it, then strips of constants: columns, then rows
* of mirrored padding, strips of the input, the input, then strips of what is there
"""

from math import prod

from ...hardware.lowering import HwOp
from .layout import Layout, hwc
from .passes import Map, Pass
from .several import batch

__all__ = ["constants", "mirrored", "padding", "part", "tile"]


def part(at: Layout, op: HwOp, source: str) -> list[Pass]:
    """A part of a concatenation that is made elsewhere."""
    _, total, _ = at.output(op)
    ifm = at.map_of(source)
    one = _copy(at, op, at.input_name(source), ifm, total)
    lead = prod(op.shape[:-3])
    return batch(one, lead) if lead > 1 else [one]


def constants(at: Layout, op: HwOp) -> list[Pass]:
    """The parts of a concatenation that the network brings along."""
    if op.const is None:
        return []
    assert isinstance(op.const[1], tuple)
    _, total, whole = at.output(op)
    axis, count = op.extra[0], len(op.const[1])
    given = sum(at.made[source].shape[axis] for source in op.inputs)
    shape = tuple((n - given) // count if k == axis else n for k, n in enumerate(op.shape))
    return [_copy(at, op, "", Map(*hwc(shape), False), whole or total)] * count


def tile(at: Layout, op: HwOp) -> list[Pass]:
    """A matrix, constant or not, for every one of a batch."""
    _, ofm, _ = at.output(op)
    count = ofm.height if prod(op.extra[:-2]) < ofm.height else 1
    bricks = bool(op.inputs) and at.map_of(op.inputs[0]).bricks
    source = at.input_name(op.inputs[0]) if op.inputs else ""
    return [_copy(at, op, source, ofm._replace(height=ofm.height // count, bricks=bricks), ofm)] * count


def padding(at: Layout, op: HwOp) -> list[Pass]:
    """Constants around a map."""
    _, total, _ = at.output(op)
    source = op.inputs[0]
    found = []
    if at.home.get(at.root(source)) != op.name:
        ifm = at.map_of(source)
        ifm = ifm._replace(height=min(ifm.height, total.height), width=min(ifm.width, total.width))  # it may crop
        found.append(_copy(at, op, at.input_name(source), ifm, total))
    edges = [*op.extra, 0, 0] if len(op.extra) == 4 else list(op.extra)
    top, bottom, left, right, front, back = ([0] * 6 + edges)[-6:]
    strips = [Map(total.height, total.width, n, False) for n in (front, back)]
    strips += [Map(total.height, n, total.channels, False) for n in (left, right)]
    strips += [Map(n, total.width, total.channels, False) for n in (top, bottom)]
    return found + [_copy(at, op, "", strip, total) for strip in strips if strip.elements > 0]  # less where it crops


def mirrored(at: Layout, op: HwOp) -> list[Pass]:
    """What is inside of a map, repeated around it."""
    name, total, whole = at.output(op)
    source, ifm = at.input_name(op.inputs[0]), at.map_of(op.inputs[0])
    top, bottom, left, right = ([0] * 6 + list(op.extra))[-6:-2]
    row = ifm._replace(height=1)
    column = Map(total.height, 1, ifm.channels, total.bricks)
    return [
        *[_copy(at, op, source, row, whole or total)] * (top + bottom),
        _copy(at, op, source, ifm, whole or total),
        *[_copy(at, op, name, column, whole or total)] * (left + right),
    ]


def _copy(at: Layout, op: HwOp, source: str, ifm: Map, whole: Map) -> Pass:
    """A copy of a map into a part of another, that of `op`; source: "" for constants."""
    output, _, _ = at.output(op)
    ofm = ifm._replace(bricks=whole.bricks)
    return Pass("MemoryCopy", (at.number[op.name],), (source,), output, ifm, ofm, whole=whole)
