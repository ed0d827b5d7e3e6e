"""One pass as scheduled: its stripe, its blocks, its weight slices and what they cost.

stripe     rows of the OFM made at a time
slice      output channels whose weights are fetched at a time
slack      cycles of a pass in which the weights of the next one can be fetched
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from ..blocks.config import BlockConfig
from ..blocks.select import block_config
from ..cycles.access import ElementAccess, PassMemories, element_access, scale_bytes
from ..cycles.compute import compute_cycles
from ..cycles.transfers import copy_cycles, read_cycles
from ..hashing import cached_hash
from ..machine import Machine
from ..passes import PassSpec
from ..rounding import ceil_div, round_up
from ..weight_encoding import header_bytes

__all__ = [
    "PassSchedule",
    "Slack",
    "SlicedCost",
    "WeightBuffer",
    "cascaded_schedule",
    "rows_read",
    "slice_bytes",
    "sliced_cost",
    "whole_schedule",
]


class Slack(NamedTuple):
    """What a pass leaves the next one to fetch its weights in: cycles, and bytes of near memory."""

    cycles: int
    bytes: int


class SlicedCost(NamedTuple):
    """Cost of a pass that runs slice by slice.

    cycles: of computing. cycles_with_waits: and of waiting for weights. last_slice_cycles: of computing the last slice.
    waiting_cycles: of waiting, in one stripe. ifm_cycles, weight_cycles: of reading the IFM and the weights.
    ifm_read_bytes: of the IFM, repeated reads included, in one stripe; ifm_bytes: without these.
    """

    cycles: int
    cycles_with_waits: int
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


class WeightBuffer(NamedTuple):
    """Near memory that weights are copied to before use: bytes of its one or two parts (two: one is filled while the
    other is read), and whether the first is filled while the pass before runs.
    """

    parts: tuple[int, ...]
    prefetched: bool

    @property
    def bytes(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True)
class PassSchedule:
    """One pass as scheduled so far.

    rows, rows_in: height of the stripe it makes and of the one it reads. cycles, access: with every feature map far and
    the weights where they are stored. sliced_cost: of its slices, None without weights. cascaded: whether it runs in
    stripes with others, of which the first one leads. slices: output channels, before a fused transpose, at which its
    weights are cut, 0 and the last included. copy_cycles: to copy all weights near. slack_cycles, slack_bytes: what the
    pass after it may use to fetch its weights. near_ifm: whether its IFM is near from the start.
    """

    rows: int
    rows_in: int
    block: BlockConfig
    cycles: int
    access: ElementAccess
    sliced_cost: SlicedCost | None
    cascaded: bool = False
    leads: bool = False
    slices: tuple[int, ...] = ()
    buffer: WeightBuffer | None = None
    copy_cycles: int = 0
    slack_cycles: int = 0
    slack_bytes: int = 0
    near_ifm: bool = False

    __hash__ = cached_hash

    @property
    def slack(self) -> Slack:
        return Slack(self.slack_cycles, self.slack_bytes)

    @property
    def reads_rolling_buffer(self) -> bool:
        return self.cascaded and not self.leads


def rows_read(spec: PassSpec, rows: int) -> int:
    """Input rows of a stripe of `rows` output rows."""
    return _reach(spec, rows) if rows < spec.ofm.height else spec.ifm.height


def _reach(spec: PassSpec, rows: int) -> int:
    """Input rows that `rows` output rows depend on."""
    reach = (spec.kernel[0] - 1) * spec.dilation[0] + 1
    return min(ceil_div((rows - 1) * spec.stride[0] + reach, spec.upscale), spec.ifm.height)


def slice_bytes(machine: Machine, spec: PassSpec, block: BlockConfig, slices: tuple[int, ...]) -> tuple[int, ...]:
    """Bytes of the weights and scales of every slice, stored in lines of 16.

    slices: output channels, before a fused transpose, at which the weights are cut.
    """
    by_channels: dict[int, int] = {}  # most slices are alike
    sizes = []
    # every slice has its own
    headers = min(header_bytes(machine, spec.out_channels), spec.weight_bytes) if len(slices) > 2 else 0
    values = spec.weight_bytes - headers
    for low, high in pairwise(slices):
        n = high - low
        if n not in by_channels:
            weights = ceil((headers + values * n / spec.out_channels) / 16) * 16
            by_channels[n] = weights + round_up(scale_bytes(machine, block, n), 16)
        sizes.append(by_channels[n])
    return tuple(sizes)


def sliced_cost(
    machine: Machine, spec: PassSpec, block: BlockConfig, rows: int, slices: tuple[int, ...], memories: PassMemories,
    slack_cycles: int = 0, double_buffered: bool = False,
) -> SlicedCost:  # fmt: skip
    """Cost of a pass cut into slices of output channels.

    memories.weights: what its weights are read from; where they are stored elsewhere they are copied first, during
    `slack_cycles` without waiting. double_buffered: whether one slice is copied while another computes. Of a fused
    transpose the compiler takes rows and columns as they are written and channels as they are made.
    """
    repeats = max(1.0, spec.ofm.height / rows)
    sizes = slice_bytes(machine, spec, block, slices)
    copied = memories.weights != machine.constants
    rows_in = _reach(spec, rows)
    ifm_read = weight_bytes = weight_reads = total = waiting = last = 0
    slack = slack_cycles
    count = len(slices) - 1
    by_kind: dict[tuple[int, bool, bool], tuple[ElementAccess, int]] = {}  # most slices are alike
    for i, (low, high) in enumerate(pairwise(slices)):
        kind = high - low, i == 0, i == count - 1
        if kind not in by_kind:
            stripe = spec.stripe(rows, rows_in, kind[0])
            access = element_access(machine, stripe, block)
            by_kind[kind] = access, compute_cycles(machine, stripe, block, memories, *kind[1:])
        access, last = by_kind[kind]
        ifm_read += access.ifm
        weight_bytes += sizes[i] * access.weight_reads
        weight_reads += access.weight_reads
        if copied:
            waiting += max(0, copy_cycles(machine, machine.near, machine.constants, sizes[i]) - slack)
        total += last
        slack = last if double_buffered else 0
    cycles = int(repeats * total)
    weights = read_cycles(machine, memories.weights, weight_bytes // max(weight_reads, 1), "weights") * weight_reads
    return SlicedCost(
        cycles=cycles,
        cycles_with_waits=cycles + waiting,
        last_slice_cycles=last,
        waiting_cycles=waiting,
        ifm_cycles=int(repeats * read_cycles(machine, memories.ifm, ifm_read, "ifm")),
        ifm_read_bytes=ifm_read,
        ifm_bytes=rows_in * spec.ifm.width * spec.ifm.channels,
        weight_cycles=int(repeats * weights),
    )


@lru_cache(maxsize=1 << 17)
def _striped_schedule(machine: Machine, spec: PassSpec, rows: int, near_ifm: bool) -> PassSchedule:
    """The pass in stripes of `rows` rows; feature maps are far but for a near IFM, weights where they are stored."""
    rows_in = rows_read(spec, rows)
    block = block_config(machine, spec.stripe(rows, rows_in, spec.ofm.channels))
    slices = (0, spec.out_channels)
    far = machine.far
    memories = PassMemories(machine.near if near_ifm else far, far, far, machine.constants)
    cycles = compute_cycles(machine, spec, block, memories)
    return PassSchedule(
        rows,
        rows_in,
        block,
        cycles,
        element_access(machine, spec, block),
        sliced_cost(machine, spec, block, rows, slices, memories) if spec.weight_bytes > 0 else None,
        slices=slices,
        slack_cycles=cycles,
        near_ifm=near_ifm,
    )


@lru_cache(maxsize=1 << 16)
def cascaded_schedule(machine: Machine, spec: PassSpec, rows: int, leads: bool, near_ifm: bool = False) -> PassSchedule:
    """The pass in stripes of `rows` rows, in a cascade that it leads or not."""
    return replace(_striped_schedule(machine, spec, rows, near_ifm), cascaded=True, leads=leads)


def whole_schedule(machine: Machine, spec: PassSpec, near_ifm: bool = False) -> PassSchedule:
    """The pass in one stripe."""
    return _striped_schedule(machine, spec, spec.ofm.height, near_ifm)
