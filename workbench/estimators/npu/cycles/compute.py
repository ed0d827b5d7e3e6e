"""Cycles of the MAC units and the output stage of a pass.

Rules: Ethos-U Vela 5.2, performance models of the U55/U65 and the U85. All in cycles:

    macs           of the MAC units for one OFM block
    output         of the output stage for one OFM block
    read, write    to read the IFM blocks and to write the OFM block of one block, latency included
    issue          between the commands of two blocks: (|write - read| + macs + output) / 4
    compute        max(macs, output, issue) * blocks, plus filling and draining the pipeline
    blocks         OFM blocks of a pass, counted in microblocks, so that the last one counts by its share
"""

from math import ceil, prod

from ..blocks.config import SUBKERNEL, BlockConfig
from ..blocks.u55 import matmul_blocks
from ..feature_map import FeatureMap, Size
from ..machine import Machine, Memory
from ..passes import PassSpec
from ..rounding import ceil_div
from .access import PassMemories, element_access
from .output_stage import output_cycles
from .transfers import moved_bytes

__all__ = ["compute_cycles"]


def compute_cycles(
    machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories, first: bool = True, last: bool = True
) -> int:
    """Cycles of the MAC units and the output stage. first, last: whether the pipeline fills before and drains after."""
    kind = spec.kind_on(machine.family)
    if kind == "transpose":
        return _transpose_cycles(machine, spec, block, memories)
    if kind == "matmul":
        return _matmul_cycles(machine, spec, block, memories)
    read = _block_read_cycles(machine, spec, block, memories)
    write = _block_write_cycles(machine, spec, block, memories.ofm)
    per_element = output_cycles(machine, spec)
    if kind == "elementwise" or spec.op == "Resize":
        elements = spec.ofm.stored_elements
        issue = (max(read, write) / prod(block.ofm) + per_element) / 4
        return max(ceil(issue * elements), ceil(per_element * elements))
    ofm_block = _common(spec.ofm, block.ofm)
    microblock = _microblock(machine, spec, block)
    blocks = _microblocks(spec.ofm.size, microblock) / _microblocks(ofm_block, microblock)
    output = float(ceil(per_element * prod(ofm_block)))
    if spec.kind in ("conv", "depthwise") and spec.weight_bytes:
        output = max(output, 10 * ofm_block[2] * memories.weights.read_latency / 256)
    macs = float(_mac_cycles(machine, spec, block, microblock, ofm_block))
    waiting = abs(write - read) if blocks > 1 else 0
    issue = (waiting + macs + output) / 4
    slow_macs, slow_output = max(macs, issue), max(output, issue)
    total: float = slow_output * blocks + slow_macs
    if slow_macs > slow_output:
        total = int(slow_macs * blocks) + (slow_output if last else 0)
    return int(total) + (write if last else 0) + (read if first else 0)


def _common(feature_map: FeatureMap, block: Size) -> Size:
    """The part of a block inside a feature map."""
    return (
        min(feature_map.height, block[0]),
        min(feature_map.width, block[1]),
        min(feature_map.channels, block[2]),
    )


def _microblocks(shape: Size, microblock: Size) -> int:
    return ceil_div(shape[0], microblock[0]) * ceil_div(shape[1], microblock[1]) * ceil_div(shape[2], microblock[2])


def _transpose_cycles(machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories) -> int:
    """A TRANSPOSE on the U55 and U65: as long as reading or writing takes."""
    access, ifm, ofm = element_access(machine, spec, block), memories.ifm, memories.ofm
    read = moved_bytes(machine, spec.ifm, block.ifm, ifm, access.ifm, read=True)
    written = moved_bytes(machine, spec.ofm, block.ofm, ofm, access.ofm, read=False)
    return max(
        int(read / ifm.bytes_per_cycle) + ifm.read_latency, int(written / ofm.bytes_per_cycle) + ofm.write_latency
    )


def _matmul_cycles(machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories) -> int:
    """A matrix product on the U55 and U65: for every column, products of elements into memory, and their sums."""
    assert spec.ifm2 is not None
    left, ofm = spec.ifm, spec.ofm
    ones = (1, 1)
    wide = FeatureMap(left.height, left.width, left.channels, ofm.bricks, 32)
    products = PassSpec("Mul", left, wide, left, ones, ones, ones, 0, (), None, None)
    column = FeatureMap(left.height, left.width, 1, ofm.bricks)
    sums = PassSpec("ReduceSum", left, column, None, ones, ones, ones, 0, (), None, None)
    between = PassMemories(memories.ifm, memories.ifm2, machine.far, machine.constants)
    after = PassMemories(machine.far, memories.ifm2, memories.ofm, machine.constants)
    per_column = compute_cycles(machine, products, matmul_blocks(machine, spec)[0], between)
    per_column += compute_cycles(machine, sums, block, after)
    return per_column * spec.ifm2.width


def _microblock(machine: Machine, spec: PassSpec, block: BlockConfig) -> Size:
    """The microblock; on the U55 and U65 one of two rows turns flat for feature maps of one row."""
    conv = spec.kind_on(machine.family) == "conv"
    flat = conv and spec.ofm.height == 1 and spec.ofm.width % 2 == 0 and spec.kernel[0] == 1
    if machine.family != "u85" and block.microblock[0] == 2 and flat:
        return 1, 4, block.microblock[2]
    return block.microblock


def _mac_cycles(machine: Machine, spec: PassSpec, block: BlockConfig, microblock: Size, ofm_block: Size) -> int:
    """Cycles of the MAC units for one OFM block."""
    u85, conv = machine.family == "u85", spec.kind_on(machine.family) == "conv"
    ifm_depth = min(spec.ifm.channels, block.ifm[2])
    in_plane = ceil_div(ofm_block[0], microblock[0]) * ceil_div(ofm_block[1], microblock[1])
    in_depth = ceil_div(ofm_block[2], microblock[2])
    total = 0
    for column in range(0, spec.kernel[1], SUBKERNEL):
        for row in range(0, spec.kernel[0], SUBKERNEL):
            elements = min(spec.kernel[0] - row, SUBKERNEL) * min(spec.kernel[1] - column, SUBKERNEL)
            steps, cycles = _subkernel_cycles(
                machine, spec, block.part_kernel_first, microblock[2], elements, ifm_depth, in_plane, in_depth
            )
            stall = _stall_cycles(machine, steps, in_plane, in_depth)
            total += cycles + stall * (ceil_div(ifm_depth, 8) if conv and block.part_kernel_first else 1)
    if conv or spec.op == "ReduceSum":
        total *= ceil_div(spec.ifm.channels, ifm_depth)
    return total if u85 else total // machine.cores


def _subkernel_cycles(
    machine: Machine, spec: PassSpec, part_kernel_first: bool, microblock_depth: int, elements: int, ifm_depth: int,
    in_plane: int, in_depth: int,
) -> tuple[int, int]:  # fmt: skip
    """(steps, cycles) of a subkernel of so many elements; in_plane, in_depth: microblocks of the OFM block."""
    u85, bits, kind = machine.family == "u85", spec.ifm.bits, spec.kind_on(machine.family)
    if kind == "pool" and spec.op != "ReduceSum":
        cycles = max(4, elements) * in_plane * in_depth
        return 1, cycles * (bits // 2) if u85 or machine.macs != 32 else cycles
    decode = 32 * microblock_depth // (8 * (machine.cores if u85 else 1))
    speed_up = 2 if spec.sparse else 1
    if kind == "depthwise":
        steps = ceil_div(elements, 4)
        return steps, max(decode, 4 * in_plane * (bits // 8)) * steps * in_depth
    if kind == "conv" and part_kernel_first:
        steps = ceil_div(elements, 2 if bits == 16 else 4)
        return steps, max(decode, 4 * in_plane) * steps * in_depth * ceil_div(ifm_depth, 8) // speed_up
    if u85:
        return elements, max(decode, ifm_depth // 8 * in_plane) * elements * in_depth * (bits // 8) // speed_up
    return elements, max(decode, 4 * in_plane) * elements * in_depth


def _stall_cycles(machine: Machine, steps: int, in_plane: int, in_depth: int) -> int:
    """Cycles lost between steps where an OFM block is one microblock wide and high."""
    if in_plane != 1:
        return 0
    stall = 3 if machine.family == "u55" and machine.macs == 32 else 2
    if in_depth == 1:
        return stall * steps
    return stall * (steps - 1) * in_depth if steps > 1 else 0


def _block_read_cycles(machine: Machine, spec: PassSpec, block: BlockConfig, memories: PassMemories) -> int:
    """Cycles to read the IFM blocks of one OFM block; both inputs are read at once."""
    cycles = 0
    for feature_map, memory in ((spec.ifm, memories.ifm), (spec.ifm2, memories.ifm2)):
        if feature_map is not None:
            elements = prod(_common(feature_map, block.ifm))
            moved = moved_bytes(machine, feature_map, block.ifm, memory, elements, read=True)
            cycles = max(cycles, memory.read_latency + int(moved / memory.bytes_per_cycle))
    return cycles


def _block_write_cycles(machine: Machine, spec: PassSpec, block: BlockConfig, memory: Memory) -> int:
    """Cycles to write one OFM block."""
    elements = prod(_common(spec.ofm, block.ofm))
    moved = moved_bytes(machine, spec.ofm, block.ofm, memory, elements, read=False)
    return memory.write_latency + int(moved / memory.bytes_per_cycle)
