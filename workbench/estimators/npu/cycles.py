"""Cycles of a pass and of the memories it touches.

Rules: Ethos-U Vela 5.2, performance models of the U55/U65 and the U85.

    macs(block)    cycles the multipliers take for a tile        out(block)   cycles its output stage takes
    tiles          tiles of the output, the fraction of the last included
    issue          cycles to hand a tile's command over: (memory + macs + out) / 4
    compute        max(macs, out, issue) * tiles, plus filling and draining the pipeline

Bytes that a short run leaves of a burst are paid for: moved = bytes * burst / run.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from .blocks_u55 import array_of, product_blocks
from .cycles_u85 import channel_rate, channels_cycles
from .cycles_u85 import output_cycles as u85_output_cycles
from .machine import Machine, Memory
from .passes import ELEMENTWISE, Block, Map, Work, up

__all__ = [
    "Access",
    "access_cycles",
    "compute_cycles",
    "element_access",
    "mem_to_mem_cycles",
    "read_cycles",
    "scale_bytes",
]

_KERNEL = 8


class Access(NamedTuple):
    """Elements a pass reads of each input and writes, and how often it reads its weights."""

    ifm: int
    ifm2: int
    ofm: int
    refetches: int


# ---- compute ------------------------------------------------------------------------------------------------------


def compute_cycles(
    machine: Machine, work: Work, block: Block, ifm_memory: Memory, ifm2_memory: Memory, ofm_memory: Memory,
    constants_memory: Memory, first: bool = True, last: bool = True,
) -> int:  # fmt: skip
    """Cycles of the multipliers and the output stage. first, last: whether the pipeline fills before, drains after."""
    kind = _kind(machine, work)
    if kind == "turn":
        return _turning(machine, work, block, ifm_memory, ofm_memory)
    if kind == "product":
        return _product(machine, work, block, ifm_memory, ifm2_memory, ofm_memory)
    reads = _read_block(machine, work, block, ifm_memory, ifm2_memory)
    writes = _write_block(machine, work, block, ofm_memory)
    per_element = output_cycles(machine, work)
    if kind == "elementwise" or work.op == "Resize":
        elements = _stored(work.ofm)
        tile = block.ofm[0] * block.ofm[1] * block.ofm[2]
        return max(ceil((max(reads, writes) / tile + per_element) / 4 * elements), ceil(per_element * elements))
    oh, ow, oc = (
        min(a, b) for a, b in zip((work.ofm.height, work.ofm.width, work.ofm.channels), block.ofm, strict=True)
    )
    micro = _micro(machine, work, block)
    inside = -(-oh // micro[0]) * -(-ow // micro[1]) * -(-oc // micro[2])
    whole = -(-work.ofm.height // micro[0]) * -(-work.ofm.width // micro[1]) * -(-work.ofm.channels // micro[2])
    tiles = whole / inside
    out = float(ceil(per_element * oh * ow * oc))
    if work.kind in ("conv", "depthwise") and work.weight_bytes:
        out = max(out, 10 * oc * constants_memory.read_latency / 256)
    macs = float(_mac_cycles(machine, work, block, micro, (oh, ow, oc)))
    waiting = abs(writes - reads) if tiles > 1 else 0
    issue = (waiting + macs + out) / 4
    slow_macs, slow_out = max(macs, issue), max(out, issue)
    total: float = slow_out * tiles + slow_macs
    if slow_macs > slow_out:
        total = int(slow_macs * tiles) + (slow_out if last else 0)
    return int(total) + (writes if last else 0) + (reads if first else 0)


def _kind(machine: Machine, work: Work) -> str:
    """What does the work on this accelerator."""
    if machine.family == "u85":
        return {"turn": "pool", "product": "conv"}.get(work.kind, work.kind)
    return work.kind


def _turning(machine: Machine, work: Work, block: Block, ifm: Memory, ofm: Memory) -> int:
    """A TRANSPOSE on the U55: as long as reading or writing takes."""
    access = element_access(machine, work, block)
    come = _moved(machine, work.ifm, block.ifm, ifm, access.ifm, read=True)
    leave = _moved(machine, work.ofm, block.ofm, ofm, access.ofm, read=False)
    return max(int(come / ifm.bytes_per_cycle) + ifm.read_latency, int(leave / ofm.bytes_per_cycle) + ofm.write_latency)


def _product(machine: Machine, work: Work, block: Block, ifm: Memory, ifm2: Memory, ofm: Memory) -> int:
    """A product of matrices on the U55: for every column products of elements into memory, and their sums."""
    assert work.ifm2 is not None
    whole = Map(work.ifm.height, work.ifm.width, work.ifm.channels, work.ofm.bricks, 32)
    products = Work("Mul", work.ifm, whole, work.ifm, (1, 1), (1, 1), (1, 1), 0, (), None, None)
    column = Map(work.ifm.height, work.ifm.width, 1, work.ofm.bricks)
    sums = Work("ReduceSum", work.ifm, column, None, (1, 1), (1, 1), (1, 1), 0, (), None, None)
    one = compute_cycles(
        machine, products, product_blocks(machine, work)[0], ifm, ifm2, machine.far, machine.constants
    ) + compute_cycles(machine, sums, block, machine.far, ifm2, ofm, machine.constants)
    return one * work.ifm2.width


def _micro(machine: Machine, work: Work, block: Block) -> tuple[int, int, int]:
    """The micro-tile; the U55's turns flat for maps of one row."""
    flat = _kind(machine, work) == "conv" and work.ofm.height == 1 and work.ofm.width % 2 == 0 and work.kernel[0] == 1
    if machine.family != "u85" and block.micro[0] == 2 and flat:
        return 1, 4, block.micro[2]
    return block.micro


def _mac_cycles(
    machine: Machine, work: Work, block: Block, micro: tuple[int, int, int], tile: tuple[int, int, int]
) -> int:
    """Cycles of the multipliers for one tile."""
    u85 = machine.family == "u85"
    bits = work.ifm.bits
    ic = min(work.ifm.channels, block.ifm[2])
    area, deep = -(-tile[0] // micro[0]) * -(-tile[1] // micro[1]), -(-tile[2] // micro[2])
    decode = 32 * micro[2] // (8 * (machine.cores if u85 else 1))
    kind = _kind(machine, work)
    conv = kind == "conv"
    sums = work.op == "ReduceSum"
    taps_first = conv and block.part_kernel
    total = 0
    for x in range(0, work.kernel[1], _KERNEL):
        for y in range(0, work.kernel[0], _KERNEL):
            taps = min(work.kernel[0] - y, _KERNEL) * min(work.kernel[1] - x, _KERNEL)
            if kind == "pool" and not sums:
                steps = 1
                cycles = max(4, taps) * area * deep
                if u85 or machine.macs != 32:
                    cycles *= bits // 2
            elif kind == "depthwise":
                steps = -(-taps // 4)
                cycles = max(decode, 4 * area * (bits // 8)) * steps * deep
            elif taps_first:
                steps = -(-taps // (2 if bits == 16 else 4))
                cycles = max(decode, 4 * area) * steps * deep * -(-ic // 8) // (2 if work.sparse else 1)
            else:
                steps = taps
                if u85:
                    cycles = max(decode, ic // 8 * area) * steps * deep * (bits // 8) // (2 if work.sparse else 1)
                else:
                    cycles = max(decode, 4 * area) * steps * deep
            wait = _delay(machine, steps, area, deep)
            total += cycles + wait * (-(-ic // 8) if taps_first else 1)
    if conv or sums:
        total *= -(-work.ifm.channels // ic)
    return total if u85 else total // (machine.cores)


def _delay(machine: Machine, steps: int, area: int, deep: int) -> int:
    """Cycles lost between steps where a tile is one micro-tile wide."""
    if area != 1:
        return 0
    delay = 3 if machine.family == "u55" and machine.macs == 32 else 2
    if deep == 1:
        return delay * steps
    return delay * (steps - 1) * deep if steps > 1 else 0


def output_cycles(machine: Machine, work: Work) -> float:
    """Cycles of the output stage for one element."""
    if machine.family == "u85":
        return u85_output_cycles(machine, work)
    array = array_of(machine)
    if work.kind == "elementwise" and work.ifm.bits == 32:
        kind = 1 if work.ifm2 else 0
    elif work.op == "Mul":
        kind = 2 if work.ofm.bits == 32 else 3
    elif work.op in ("Add", "Sub"):
        kind = 5
    elif work.op == "MaxPool":
        kind = 6
    else:
        kind = 7
    op = work.chain[0].op if work.chain else ""
    stage = 0 if op in ("Sigmoid", "Tanh", "LUT") else 1 if op in ("Relu", "Relu0To1", "Relu6", "ReluN1To1") else 2
    return max(array.output[kind], array.activation[stage])


# ---- memory -------------------------------------------------------------------------------------------------------


def _run_bytes(machine: Machine, shape: Map, tile: tuple[int, int, int], read: bool) -> int:
    """Bytes that lie one after the other of a tile in a map."""
    size = shape.bits // 8
    cores = 1 if machine.family == "u85" else machine.cores
    if shape.bricks:
        if shape.width * size * 16 == tile[2]:
            return size * tile[1] * tile[2]
        return 16 * size * tile[1] * (1 if read else cores)
    whole = shape.channels * size == tile[2]
    if read:
        return size * tile[1] * tile[2] if whole else size * tile[2]
    if tile[2] <= 16 and whole:
        return size * tile[1] * tile[2]
    return min(64, 16 * size * cores, tile[2] * size)


def _moved(machine: Machine, shape: Map, tile: tuple[int, int, int], memory: Memory, elements: int, read: bool) -> int:
    run = min(memory.burst_bytes, _run_bytes(machine, shape, tile, read))
    return elements * shape.bits // 8 * memory.burst_bytes // run


def _present(shape: Map, tile: tuple[int, int, int]) -> int:
    return min(shape.height, tile[0]) * min(shape.width, tile[1]) * min(shape.channels, tile[2])


def _read_block(machine: Machine, work: Work, block: Block, memory: Memory, memory2: Memory) -> int:
    cycles = 0
    for shape, source in ((work.ifm, memory), (work.ifm2, memory2)):
        if shape is not None:
            moved = _moved(machine, shape, block.ifm, source, _present(shape, block.ifm), read=True)
            cycles = max(cycles, source.read_latency + int(moved / source.bytes_per_cycle))
    return cycles


def _write_block(machine: Machine, work: Work, block: Block, memory: Memory) -> int:
    moved = _moved(machine, work.ofm, block.ofm, memory, _present(work.ofm, block.ofm), read=False)
    return memory.write_latency + int(moved / memory.bytes_per_cycle)


def _stored(shape: Map) -> int:
    return shape.height * shape.width * (up(shape.channels, 16) if shape.bricks else shape.channels)


def element_access(machine: Machine, work: Work, block: Block) -> Access:
    """Elements read and written, halos and repeats included."""
    ofm = _stored(work.ofm)
    if work.kind == "elementwise":
        u85 = machine.family == "u85"
        first, second = work.ifm, work.ifm2
        one = 0 if first.elements == 1 else _like(first if u85 else work.ofm, first)
        two = 0
        if second is not None and second.elements > 1:
            two = _like(second if u85 else work.ofm, first)
        return Access(one, two, ofm, 0)
    if work.op == "Resize":
        return Access(_stored(work.ifm), 0, ofm, 0)
    kind = _kind(machine, work)
    if kind == "turn":
        return Access(work.ifm.elements, 0, ofm, 0)
    if kind == "product":
        assert work.ifm2 is not None
        return Access(work.ifm.elements * work.ifm2.width, work.ifm2.elements, ofm, 0)
    rows, cols = min(work.ifm.height, block.ifm[0]), min(work.ifm.width, block.ifm[1])
    across = -(-work.ofm.height // min(work.ofm.height, block.ofm[0])) * -(
        -work.ofm.width // min(work.ofm.width, block.ofm[1])
    )
    deep = -(-work.ofm.channels // min(work.ofm.channels, block.ofm[2]))
    if kind in ("depthwise", "pool") and work.op != "ReduceSum":
        deep = 1
    parts = -(-work.kernel[0] // _KERNEL) * -(-work.kernel[1] // _KERNEL)
    depth = up(work.ifm.channels, 16) if work.ifm.bricks else work.ifm.channels
    return Access(rows * cols * depth * parts * across * deep, 0, ofm, across if work.weight_bytes else 0)


def _like(shape: Map, storage: Map) -> int:
    return shape.height * shape.width * (up(shape.channels, 16) if storage.bricks else shape.channels)


def access_cycles(
    machine: Machine, work: Work, block: Block, ifm: Memory, ifm2: Memory, ofm: Memory,
    chained: Sequence[Memory], out: Memory, weights: Memory, ahead_bytes: int,
) -> dict[str, int]:  # fmt: skip
    """Cycles of each memory, by name.

    chained: where each link's other input is. out: where the last link writes. weights: where weights are read
    from; ahead_bytes of them came before the pass began.
    """
    access = element_access(machine, work, block)
    streamed = "ifm stream" if work.kind == "elementwise" or work.op == "Resize" else "ifm"
    moved: list[tuple[Memory, str, int]] = [
        (ifm, streamed, _moved(machine, work.ifm, block.ifm, ifm, access.ifm, read=True))
    ]
    if work.ifm2 is not None:
        moved.append((ifm2, streamed, _moved(machine, work.ifm2, block.ifm, ifm2, access.ifm2, read=True)))
    # the compiler counts one map of every chained operator, what it reads besides or else what the last writes,
    # and the whole map for a part of it that an activation writes
    written = work.whole if machine.family == "u85" and work.chain and work.whole else work.ofm
    if machine.family == "u85" and any(link.op in ELEMENTWISE for link in work.chain):
        for k, (link, memory) in enumerate(zip(work.chain, chained, strict=True)):
            if link.other is not None:
                n = _stored(link.other) if link.other.elements > 1 else 0
                n = _moved(machine, link.other, block.ifm, memory, n, read=True)
                moved.append((memory, "ifm stream", n))
            elif k == len(work.chain) - 1:
                last = written._replace(bits=link.bits)
                moved.append((out, "write", _moved(machine, last, block.ofm, out, _stored(last), read=False)))
    else:
        moved.append((ofm, "write", _moved(machine, written, block.ofm, ofm, _stored(written), read=False)))
    if _kind(machine, work) == "product":  # products of elements, written and read
        moved += [(machine.far, "write", access.ifm), (machine.far, "ifm", access.ifm)]
    if work.weight_bytes:
        if weights != machine.constants:
            late = max(work.weight_bytes - ahead_bytes, 0)
            moved += [(machine.constants, "copy", late), (weights, "write", late)]
        moved.append((weights, "weights", access.refetches * work.weight_bytes))
        moved.append((machine.constants, "scales", access.refetches * scale_bytes(machine, block, work.outputs)))
    if machine.one_bus:
        moved = [(machine.near if memory == machine.constants else memory, what, n) for memory, what, n in moved]
    if machine.family == "u85":
        return channels_cycles(machine, moved)
    total: dict[Memory, int] = {}
    for memory, _, n in moved:
        total[memory] = total.get(memory, 0) + n
    return {memory.name: int(n / memory.bytes_per_cycle) for memory, n in total.items()}


def scale_bytes(machine: Machine, block: Block, channels: int) -> int:
    """Bytes of the biases and scales of so many output channels, ten each."""
    if machine.family == "u85":
        return 10 * up(channels, max(block.micro[2], 16))
    share = [(channels + machine.cores - 1 - core) // machine.cores for core in range(machine.cores)]
    return sum(up(10 * n, 16) for n in share)


def mem_to_mem_cycles(machine: Machine, to: Memory, source: Memory, n: int) -> int:
    """Cycles to copy n bytes."""
    if machine.family == "u85":
        come = int(n / channel_rate(machine, source, "copy")) + source.read_latency
        return max(come, int(n / channel_rate(machine, to, "write")) + to.write_latency)
    return max(int(n / source.bytes_per_cycle) + source.read_latency, int(n / to.bytes_per_cycle) + to.write_latency)


def read_cycles(machine: Machine, memory: Memory, n: int, what: str) -> int:
    """Cycles to read n bytes of `what` ("ifm", "weights"), latency included."""
    rate = memory.bytes_per_cycle
    if machine.family == "u85":
        rate = channel_rate(machine, memory, what)
    return int(n / rate + memory.read_latency)
