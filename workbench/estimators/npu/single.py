"""One lowered operator as one pass."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod

from ...hardware.lowering import HwOp
from .blocks import block_of
from .cycles import compute_cycles, read_cycles
from .layout import OPS, TURNED, Layout, constant_of, deepened, is_batched, squared
from .machine import Machine
from .passes import Map, Pass, Values, Work
from .weights import decode_cycles, packed_bytes

__all__ = ["packed", "plain", "weighted"]

_FEW = 2  # input channels that are sparse whatever the weights, as those that fill up are zero


def weighted(at: Layout, machine: Machine, op: HwOp, values: Mapping[str, Values]) -> Pass:
    """A convolution or a fully connected layer, whatever its stride and groups, with its weights packed."""
    name, ofm, whole = at.output(op)
    source = at.unpadded(op.inputs[0])
    ifm = at.map_of(source)
    if op.kind == "FULLY_CONNECTED":
        assert op.weight is not None
        rows = prod(at.made[op.inputs[0]].shape) // op.weight[-1]
        ifm = squared(Map(1, rows, op.weight[-1], ifm.bricks))
        ofm = squared(Map(1, rows, op.weight[0], ofm.bricks))
    if is_batched(op):
        ifm, ofm = squared(ifm), squared(ofm)
    kernel = op.weight[1:3] if op.weight is not None and len(op.weight) == 4 else (1, 1)
    found = Pass(
        OPS[op.kind], (at.number[op.name],), (at.input_name(source),), name, ifm, ofm,
        kernel=(kernel[0], kernel[1]), stride=op.stride, dilation=op.dilation, weights=op.name, whole=whole,
        values=values.get(op.name.partition("/")[0]),
    )  # fmt: skip
    return packed(machine, found)


def packed(machine: Machine, pass_: Pass) -> Pass:
    """The pass with the bytes its weights are stored in, and whether zeros are left out."""
    stored, sparse = _stored(machine, pass_.work, pass_.values)
    return Pass(*pass_[:10], stored, *pass_[11:16], sparse)


@lru_cache(maxsize=1 << 16)
def _stored(machine: Machine, work: Work, values: Values | None) -> tuple[int, bool]:
    """Bytes of the weights, and whether they are sparse: where they may be, what takes fewer cycles."""
    dense = packed_bytes(machine, work, values, block_of(machine, work))
    may = work.ifm.channels <= _FEW or (values is not None and values.sparse)
    if machine.family != "u85" or work.kind != "conv" or work.ifm.bits != 8 or not dense or not may:
        return dense, False
    thin = replace(work, sparse=True)
    fewer = packed_bytes(machine, thin, values, block_of(machine, thin))
    mine, theirs = _cycles(machine, thin, values, fewer), _cycles(machine, work, values, dense)
    return (fewer, True) if mine[0] <= theirs[0] and sum(mine) <= sum(theirs) else (dense, False)


def _cycles(machine: Machine, work: Work, values: Values | None, stored: int) -> tuple[int, int]:
    """Of the pass, and of reading and unpacking its weights once."""
    far, constants, block = machine.far, machine.constants, block_of(machine, work)
    cycles = compute_cycles(machine, replace(work, weight_bytes=stored), block, far, far, far, constants)
    read = read_cycles(machine, constants, stored, "weights")
    return cycles, max(read, decode_cycles(machine, work, values, block))


def plain(at: Layout, op: HwOp) -> Pass:
    """Any other operator; what works element by element on a shallow map turns it."""
    name, ofm, whole = at.output(op)
    inputs = [at.input_name(n) for n in op.inputs]
    maps = [at.map_of(n) for n in op.inputs]
    if op.const is not None and op.const[0] != "alpha":
        first = 0 if op.const_first else len(inputs)
        inputs.insert(first, "")
        maps.insert(first, constant_of(op, ofm._replace(bits=maps[0].bits)))
    names = tuple(inputs[:2]) if len(inputs) > 1 and inputs[0] != inputs[1] else tuple(inputs[:1])
    if op.kind in ("SLICE", "STRIDED_SLICE"):
        maps = [ofm._replace(bricks=maps[0].bricks)]
    if (OPS.get(op.kind) in TURNED or op.kind == "MEMORY_COPY") and at.is_shallow(op):
        maps = [deepened(m) if m.elements > 1 else m for m in maps]
        ofm = deepened(ofm)
    return Pass(
        OPS.get(op.kind, "MemoryCopy" if "SLICE" in op.kind else op.kind), (at.number[op.name],), names, name,
        maps[0] if maps else ofm, ofm, ifm2=maps[1] if len(maps) > 1 else None, kernel=op.kernel, stride=op.stride,
        dilation=op.dilation, whole=whole,
    )  # fmt: skip
