"""What the scheduler knows of a pass while it decides: its stripe, its tile and what they cost."""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from .blocks import block_of
from .cycles import Access, compute_cycles, element_access, mem_to_mem_cycles, read_cycles, scale_bytes
from .machine import Machine, Memory
from .passes import Block, Work, kept_hash, up

__all__ = [
    "Buffer",
    "Cascade",
    "Run",
    "Slack",
    "Step",
    "cascaded_step",
    "rows_needed",
    "run_of",
    "step_of",
    "striped",
    "weight_ranges",
]


class Slack(NamedTuple):
    """What a step leaves the one after it to fetch its weights in: cycles, and bytes near."""

    cycles: int
    bytes: int


class Run(NamedTuple):
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


class Buffer(NamedTuple):
    """Weights copied near before use: bytes of its one or two parts, and whether the first is filled beforehand."""

    parts: tuple[int, ...]
    ahead: bool

    @property
    def bytes(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True)
class Step:
    """One pass as scheduled so far.

    rows, rows_in: height of the stripe it makes and of the one it reads. cascaded: whether it runs in stripes with
    others, the first of which leads. slices: output channels, before a turn, at which its weights are cut, 0 and the
    last included. slack_cycles, slack_bytes: what the pass after it may use to fetch its weights.
    """

    rows: int
    rows_in: int
    block: Block
    cycles: int
    access: Access
    run: Run | None
    cascaded: bool = False
    leads: bool = False
    slices: tuple[int, ...] = ()
    buffer: Buffer | None = None
    transfer_cycles: int = 0
    slack_cycles: int = 0
    slack_bytes: int = 0

    __hash__ = kept_hash

    @property
    def slack(self) -> Slack:
        return Slack(self.slack_cycles, self.slack_bytes)

    @property
    def reads_rolling_buffer(self) -> bool:
        return self.cascaded and not self.leads


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


def rows_needed(work: Work, rows: int) -> int:
    """Input rows for `rows` output rows."""
    reach = (work.kernel[0] - 1) * work.dilation[0] + 1
    return min((rows - 1) * work.stride[0] + reach, work.ifm.height)


def weight_ranges(machine: Machine, work: Work, block: Block, slices: tuple[int, ...]) -> tuple[int, ...]:
    """Bytes of the weights and scales of every slice, stored in lines of 16. Slices are of the channels made, before
    a turn.
    """
    total, known = work.outputs, dict[int, int]()  # most slices are alike
    found = []
    for low, high in pairwise(slices):
        n = high - low
        if n not in known:
            known[n] = ceil(work.weight_bytes * n / total / 16) * 16 + up(scale_bytes(machine, block, n), 16)
        found.append(known[n])
    return tuple(found)


def run_of(
    machine: Machine, work: Work, block: Block, rows: int, slices: tuple[int, ...], weights_from: Memory,
    ifm_memory: Memory, slack_cycles: int, twice: bool,
) -> Run:  # fmt: skip
    """Cost of a pass cut into slices of output channels.

    weights_from: the memory its weights are read from; where it is not the one they are stored in they are copied
    first, `slack_cycles` of it unseen. twice: while one slice computes the next is copied. Of a turned map the
    compiler takes rows and columns as they are written and channels as they are made.
    """
    repeats = max(1.0, work.ofm.height / rows)
    ranges = weight_ranges(machine, work, block, slices)
    copied = weights_from != machine.constants
    rows_in = rows_needed(work, rows)
    read = weight_bytes = fetches = total = waiting = last = 0
    slack = slack_cycles
    count = len(slices) - 1
    known: dict[tuple[int, bool, bool], tuple[Access, int]] = {}  # most slices are alike
    for i, (low, high) in enumerate(pairwise(slices)):
        kind = high - low, i == 0, i == count - 1
        if kind not in known:
            part = work.part(rows, rows_in, kind[0])
            known[kind] = (
                element_access(machine, part, block),
                compute_cycles(machine, part, block, ifm_memory, ifm_memory, machine.far, weights_from, *kind[1:]),
            )
        access, last = known[kind]
        read += access.ifm
        weight_bytes += ranges[i] * access.refetches
        fetches += access.refetches
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
        ifm_bytes=rows_in * work.ifm.width * work.ifm.channels,
        weight_cycles=int(repeats * weights),
    )


@lru_cache(maxsize=1 << 17)
def striped(machine: Machine, work: Work, rows: int) -> Step:
    """The pass made in stripes of `rows` rows, weights where they are stored."""
    rows_in = rows_needed(work, rows) if rows < work.ofm.height else work.ifm.height
    block = block_of(machine, work.part(rows, rows_in, work.ofm.channels))
    slices = (0, work.outputs)
    weighted = work.weight_bytes > 0
    run = None
    if weighted:
        run = run_of(machine, work, block, rows, slices, machine.constants, machine.far, 0, False)
    return Step(
        rows,
        rows_in,
        block,
        compute_cycles(machine, work, block, machine.far, machine.far, machine.far, machine.constants),
        element_access(machine, work, block),
        run,
        slices=slices,
    )


@lru_cache(maxsize=1 << 16)
def cascaded_step(machine: Machine, work: Work, rows: int, leads: bool) -> Step:
    """The pass made in stripes, one of several that are."""
    return replace(striped(machine, work, rows), cascaded=True, leads=leads)


def step_of(machine: Machine, work: Work) -> Step:
    """The pass made in one go."""
    return striped(machine, work, work.ofm.height)
