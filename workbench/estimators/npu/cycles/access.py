"""Elements a pass reads and writes, and the cycles of every memory for that.

Rules: Ethos-U Vela 5.2, performance models of the U55/U65 and the U85. IFM blocks overlap (halos) and are read again
for every group of output channels; weights are read again for every OFM block in a plane.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..blocks.config import SUBKERNEL, BlockConfig
from ..feature_map import BRICK, FeatureMap
from ..machine import Machine, Memory
from ..passes import ELEMENTWISE, PassSpec
from ..rounding import ceil_div, round_up
from .transfers import moved_bytes
from .u85 import cycles_by_memory as u85_cycles_by_memory

__all__ = ["ElementAccess", "PassMemories", "element_access", "memory_cycles", "scale_bytes"]

_SCALE_BYTES = 10  # bias and scale of one output channel
_Transfer = tuple[Memory, str, int]  # memory, channel, bytes


class ElementAccess(NamedTuple):
    """Elements a pass reads of each input and writes; weight_reads: how often it reads its weights."""

    ifm: int
    ifm2: int
    ofm: int
    weight_reads: int


class PassMemories(NamedTuple):
    """The memories a pass works on: of its feature maps, and the one it reads its weights from.

    operands: of the feature maps that chained operators read besides. chain_output: where the last of these writes.
    """

    ifm: Memory
    ifm2: Memory
    ofm: Memory
    weights: Memory
    operands: tuple[Memory, ...] = ()
    chain_output: Memory | None = None


def element_access(machine: Machine, spec: PassSpec, block: BlockConfig) -> ElementAccess:
    """Elements read and written, halos and repeated reads included."""
    ifm, ifm2, ofm = spec.ifm, spec.ifm2, spec.ofm
    written = ofm.stored_elements
    if spec.kind == "elementwise":
        return _elementwise_access(machine, spec)
    if spec.op == "Resize":
        return ElementAccess(ifm.stored_elements, 0, written, 0)
    kind = spec.kind_on(machine.family)
    if kind == "transpose":
        return ElementAccess(ifm.elements, 0, written, 0)
    if kind == "matmul":
        assert ifm2 is not None
        return ElementAccess(ifm.elements * ifm2.width, ifm2.elements, written, 0)
    rows, columns = min(ifm.height, block.ifm[0]), min(ifm.width, block.ifm[1])
    in_plane = ceil_div(ofm.height, min(ofm.height, block.ofm[0])) * ceil_div(ofm.width, min(ofm.width, block.ofm[1]))
    in_depth = ceil_div(ofm.channels, min(ofm.channels, block.ofm[2]))
    if kind in ("depthwise", "pool") and spec.op != "ReduceSum":
        in_depth = 1
    subkernels = ceil_div(spec.kernel[0], SUBKERNEL) * ceil_div(spec.kernel[1], SUBKERNEL)
    channels = round_up(ifm.channels, BRICK) if ifm.bricks else ifm.channels
    read = rows * columns * channels * subkernels * in_plane * in_depth
    return ElementAccess(read, 0, written, in_plane if spec.weight_bytes else 0)


def _elementwise_access(machine: Machine, spec: PassSpec) -> ElementAccess:
    """The U55 and U65 read a broadcast input once for every output element."""
    u85 = machine.family == "u85"
    ifm, ifm2 = spec.ifm, spec.ifm2
    first = second = 0
    if ifm.elements != 1:
        first = _stored_like(ifm if u85 else spec.ofm, ifm)
    if ifm2 is not None and ifm2.elements > 1:
        second = _stored_like(ifm2 if u85 else spec.ofm, ifm)
    return ElementAccess(first, second, spec.ofm.stored_elements, 0)


def _stored_like(feature_map: FeatureMap, format_of: FeatureMap) -> int:
    """Elements of a feature map if it were stored in the format of another."""
    return feature_map._replace(bricks=format_of.bricks).stored_elements


def memory_cycles(
    machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories, prefetched_bytes: int,
    slices: Sequence[int],
) -> dict[str, int]:  # fmt: skip
    """Cycles of each memory, by its name.

    prefetched_bytes: of the weights, copied before the pass began. slices: output channels at which they are cut.
    """
    access = element_access(machine, spec, block)
    transfers = _ifm_transfers(machine, spec, block, memories, access)
    transfers += _ofm_transfers(machine, spec, block, memories)
    if spec.kind_on(machine.family) == "matmul":  # products of elements, written and read
        transfers += [(machine.far, "write", access.ifm), (machine.far, "ifm", access.ifm)]
    if spec.weight_bytes:
        copied = max(spec.weight_bytes - prefetched_bytes, 0)
        scales = sum([scale_bytes(machine, block, high - low) for low, high in pairwise(slices)])
        transfers += _weight_transfers(machine, spec, memories.weights, access.weight_reads, copied, scales)
    if machine.shared_bus:
        transfers = [
            (machine.near if memory == machine.constants else memory, channel, size)
            for memory, channel, size in transfers
        ]
    if machine.family == "u85":
        return u85_cycles_by_memory(machine, transfers)
    total: dict[Memory, int] = {}
    for memory, _, size in transfers:
        total[memory] = total.get(memory, 0) + size
    return {memory.name: int(size / memory.bytes_per_cycle) for memory, size in total.items()}


def _ifm_transfers(
    machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories, access: ElementAccess
) -> list[_Transfer]:
    channel = "ifm stream" if spec.kind == "elementwise" or spec.op == "Resize" else "ifm"
    moved = moved_bytes(machine, spec.ifm, block.ifm, memories.ifm, access.ifm, read=True)
    transfers = [(memories.ifm, channel, moved)]
    if spec.ifm2 is not None:
        moved = moved_bytes(machine, spec.ifm2, block.ifm, memories.ifm2, access.ifm2, read=True)
        transfers.append((memories.ifm2, channel, moved))
    return transfers


def _ofm_transfers(machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories) -> list[_Transfer]:
    """The OFM or, of a chain on the U85, what the compiler counts: one feature map of every chained operator, the one
    it reads besides or else the one the last of them writes.

    For a part of a feature map that an activation writes it counts the whole.
    """
    u85 = machine.family == "u85"
    ofm = spec.whole if u85 and spec.chain and spec.whole else spec.ofm
    if not u85 or not any(link.op in ELEMENTWISE for link in spec.chain):
        moved = moved_bytes(machine, ofm, block.ofm, memories.ofm, ofm.stored_elements, read=False)
        return [(memories.ofm, "write", moved)]
    transfers = []
    for k, (link, memory) in enumerate(zip(spec.chain, memories.operands, strict=True)):
        operand = link.operand
        if operand is not None:
            elements = operand.stored_elements if operand.elements > 1 else 0
            moved = moved_bytes(machine, operand, block.ifm, memory, elements, read=True)
            transfers.append((memory, "ifm stream", moved))
        elif k == len(spec.chain) - 1:
            last, output = ofm._replace(bits=link.bits), memories.chain_output
            assert output is not None
            moved = moved_bytes(machine, last, block.ofm, output, last.stored_elements, read=False)
            transfers.append((output, "write", moved))
    return transfers


def _weight_transfers(
    machine: Machine, spec: PassSpec, weights: Memory, reads: int, copied: int, scales: int
) -> list[_Transfer]:
    """Weights, of which so many bytes may be copied to another memory first, and scales."""
    transfers = []
    if weights != machine.constants:
        transfers += [(machine.constants, "copy", copied), (weights, "write", copied)]
    transfers.append((weights, "weights", reads * spec.weight_bytes))
    transfers.append((machine.constants, "scales", reads * scales))
    return transfers


def scale_bytes(machine: Machine, block: BlockConfig, channels: int) -> int:
    """Bytes of the biases and scales of so many output channels."""
    if machine.family == "u85":
        return _SCALE_BYTES * round_up(channels, max(block.microblock[2], 16))
    per_core = [(channels + machine.cores - 1 - core) // machine.cores for core in range(machine.cores)]
    return sum(round_up(_SCALE_BYTES * n, 16) for n in per_core)
