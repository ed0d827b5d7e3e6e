"""What the scheduler knows of a pass while it decides: its stripe, its tile and what they cost."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from .blocks import block_of
from .cycles import Access, compute_cycles, element_access, mem_to_mem_cycles, read_cycles, scale_bytes
from .machine import Machine, Memory
from .passes import Block, Pass, up

__all__ = ["Buffer", "Cascade", "Run", "Step", "rows_needed", "run_of", "sized", "step_of", "striped", "weight_ranges"]


@dataclass(frozen=True)
class Run:
    """Cycles of a pass run slice by slice, and of the reads it needs (cycles, bytes)."""

    cycles: int
    full_cycles: int
    last_slice_cycles: int
    waiting_cycles: int
    ifm_cycles: int
    ifm_read_bytes: int
    ifm_bytes: int
    weight_cycles: int

    @property
    def compute_bound(self) -> bool:
        """Whether computing takes longer than either read."""
        return self.cycles > self.weight_cycles and self.cycles > self.ifm_cycles


@dataclass(frozen=True)
class Buffer:
    """Weights copied near before use: bytes of its one or two parts, and whether the first is filled beforehand."""

    parts: tuple[int, ...]
    ahead: bool

    @property
    def bytes(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True)
class Step:
    """One pass as scheduled so far.

    rows, rows_in: height of the stripe it makes and of the one it reads. cascade: number of the last pass of the
    cascade it belongs to, or -1. slices: output channels at which its weights are cut, 0 and the last included.
    slack_cycles, slack_bytes: what the pass after it may use to fetch its weights. near_ifm: whether its input
    should be near rather than its weights.
    """

    number: int
    rows: int
    rows_in: int
    block: Block
    cycles: int
    access: Access
    run: Run | None
    cascade: int = -1
    leads: bool = False
    slices: tuple[int, ...] = ()
    buffer: Buffer | None = None
    transfer_cycles: int = 0
    slack_cycles: int = 0
    slack_bytes: int = 0

    @property
    def reads_rolling_buffer(self) -> bool:
        return self.cascade >= 0 and not self.leads


@dataclass(frozen=True)
class Cascade:
    """Passes first..last, made stripe by stripe.

    rolling: bytes of the rolling buffer each pass after the first reads (0: one in place). bytes: near memory it
    takes, with what lives beside it. own_bytes: without that.
    """

    first: int
    last: int
    rolling: tuple[int, ...]
    bytes: int
    own_bytes: int


def sized(pass_: Pass, rows: int, rows_in: int, channels: int) -> Pass:
    """The part of a pass that makes `rows` rows of `channels` channels."""
    ifm2 = pass_.ifm2
    if ifm2 is not None and ifm2.height > rows_in:
        ifm2 = replace(ifm2, height=rows_in)
    return replace(
        pass_,
        ifm=replace(pass_.ifm, height=min(rows_in, pass_.ifm.height)),
        ofm=replace(pass_.ofm, height=rows, channels=channels),
        ifm2=ifm2,
    )


def rows_needed(pass_: Pass, rows: int) -> int:
    """Input rows for `rows` output rows."""
    reach = (pass_.kernel[0] - 1) * pass_.dilation[0] + 1
    return min((rows - 1) * pass_.stride[0] + reach, pass_.ifm.height)


def weight_ranges(machine: Machine, pass_: Pass, block: Block, slices: tuple[int, ...]) -> tuple[int, ...]:
    """Bytes of the weights and scales of every slice, stored in lines of 16."""
    total = pass_.ofm.channels
    return tuple(
        ceil(pass_.weight_bytes * (high - low) / total / 16) * 16 + up(scale_bytes(machine, block, high - low), 16)
        for low, high in pairwise(slices)
    )


def run_of(
    machine: Machine, pass_: Pass, block: Block, rows: int, slices: tuple[int, ...], weights_from: Memory,
    ifm_memory: Memory, slack_cycles: int, twice: bool,
) -> Run:  # fmt: skip
    """Cost of a pass cut into slices of output channels.

    weights_from: the memory its weights are read from; where it is not the one they are stored in they are copied
    first, `slack_cycles` of it unseen. twice: while one slice computes the next is copied.
    """
    repeats = max(1.0, pass_.ofm.height / rows)
    ranges = weight_ranges(machine, pass_, block, slices)
    copied = weights_from != machine.constants
    rows_in = rows_needed(pass_, rows)
    read = weight_bytes = fetches = total = waiting = last = 0
    slack = slack_cycles
    count = len(slices) - 1
    for i, (low, high) in enumerate(pairwise(slices)):
        part = sized(pass_, rows, rows_in, high - low)
        access = element_access(machine, part, block)
        read += access.ifm
        weight_bytes += ranges[i] * access.refetches
        fetches += access.refetches
        last = compute_cycles(
            machine, part, block, ifm_memory, ifm_memory, machine.far, weights_from, first=i == 0, last=i == count - 1
        )
        if copied:
            waiting += max(0, mem_to_mem_cycles(machine, machine.near, machine.constants, ranges[i]) - slack)
        total += last
        slack = last if twice else 0
    cycles = int(repeats * total)
    weights = read_cycles(machine, weights_from, weight_bytes // max(fetches, 1), "weights") * fetches
    return Run(
        cycles=cycles,
        full_cycles=cycles + waiting,
        last_slice_cycles=last,
        waiting_cycles=waiting,
        ifm_cycles=int(repeats * read_cycles(machine, ifm_memory, read, "ifm")),
        ifm_read_bytes=read,
        ifm_bytes=rows_in * pass_.ifm.width * pass_.ifm.channels,
        weight_cycles=int(repeats * weights),
    )


def striped(machine: Machine, pass_: Pass, number: int, rows: int) -> Step:
    """The pass made in stripes of `rows` rows, weights where they are stored."""
    rows_in = rows_needed(pass_, rows) if rows < pass_.ofm.height else pass_.ifm.height
    block = block_of(machine, sized(pass_, rows, rows_in, pass_.ofm.channels))
    slices = (0, pass_.ofm.channels)
    weighted = pass_.weight_bytes > 0
    run = None
    if weighted:
        run = run_of(machine, pass_, block, rows, slices, machine.constants, machine.far, 0, False)
    return Step(
        number,
        rows,
        rows_in,
        block,
        compute_cycles(machine, pass_, block, machine.far, machine.far, machine.far, machine.constants),
        element_access(machine, pass_, block),
        run,
        slices=slices,
    )


def step_of(machine: Machine, pass_: Pass, number: int) -> Step:
    """The pass made in one go."""
    return striped(machine, pass_, number, pass_.ofm.height)
