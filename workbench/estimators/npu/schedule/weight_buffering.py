"""Which weights are copied near before use, whole or slice by slice.

Rules: Ethos-U Vela 5.2, weight buffering of the scheduler. A pass's weights may be copied while the pass before it
computes (its slack); a copy in slices lets the next slice arrive while one computes.

    copy       [cycles] to copy all weights of the pass near
    slack      [cycles] of the pass before, in which a copy costs nothing
    wait       = copy - slack, at least 0: cycles of a copy that the pass before does not hide
    stored, near [cycles] to read the weights as often as the pass does, from where they are stored and from near
"""

from dataclasses import replace
from functools import lru_cache
from math import floor
from typing import NamedTuple

from ..cycles.access import PassMemories
from ..cycles.compute import compute_cycles
from ..cycles.transfers import copy_cycles, read_cycles
from ..machine import Machine
from ..passes import PassSpec
from ..rounding import ceil_div, round_down, round_up
from .pass_schedule import PassSchedule, Slack, SlicedCost, WeightBuffer, slice_bytes, sliced_cost

__all__ = ["with_weight_buffer"]

_SLICE_CHANNELS = 16  # weights can be cut at multiples of these
_STARTUP_CYCLES = 1000  # a wait shorter than this is ignored


class _Weights(NamedTuple):
    """The weights of a pass that may be copied near.

    schedule: the pass with its weights where they are stored. previous: what the pass before leaves, None for the first
    pass. limit: bytes of near memory a buffer may take. bytes: of all weights and scales. copy, stored, near: cycles,
    see above. reads: how often all of them are read.
    """

    machine: Machine
    spec: PassSpec
    schedule: PassSchedule
    previous: Slack | None
    limit: int
    bytes: int
    copy: int
    reads: int
    stored: int
    near: int

    @property
    def cost(self) -> SlicedCost:
        """With the weights where they are stored."""
        assert self.schedule.sliced_cost is not None
        return self.schedule.sliced_cost

    @property
    def slack(self) -> int:
        return self.previous.cycles if self.previous else 0

    @property
    def slack_bytes(self) -> int:
        return self.previous.bytes if self.previous else self.limit

    @property
    def wait(self) -> int:
        return max(self.copy - self.slack, 0)

    @property
    def smallest_copy(self) -> int:
        """Cycles to copy the smallest slice."""
        channels = self.spec.out_channels
        return int(self.copy * min(channels, _SLICE_CHANNELS) / channels)

    @property
    def compute_bound(self) -> bool:
        return self.cost.cycles > self.stored

    @property
    def is_faster(self) -> bool:
        """Whether copying and reading near takes less than reading where they are stored."""
        return self.near + self.wait < self.stored

    @property
    def may_prefetch(self) -> bool:
        """Whether a copy may begin while the pass before runs."""
        return self.previous is not None and not self.schedule.reads_rolling_buffer

    @property
    def at_start(self) -> bool:
        """Whether this is the first pass and waiting for its first slice is worth it."""
        smallest = self.smallest_copy
        short = smallest < self.stored // 10 or smallest <= _STARTUP_CYCLES
        return self.previous is None and self.reads > 1 and short


@lru_cache(maxsize=1 << 17)
def with_weight_buffer(
    machine: Machine, spec: PassSpec, schedule: PassSchedule, previous: Slack | None, reader: SlicedCost | None,
    ifm_from_pass: bool, limit: int, same_weights: bool = False,
) -> PassSchedule:  # fmt: skip
    """The schedule with the weight buffer that pays, or without one.

    previous: what the pass before, already decided, leaves; None for the first pass. reader: cost of the first pass
    that reads the output. ifm_from_pass: whether the IFM is another pass's output. limit: bytes of near memory a buffer
    may take. same_weights: whether the pass before has the same weights.
    """
    schedule = replace(schedule, slack_bytes=limit, slack_cycles=schedule.cycles, buffer=None)
    if not spec.weight_bytes or machine.constants == machine.near:
        return schedule
    weights = _weights(machine, spec, schedule, previous, limit)
    schedule = weights.schedule
    if weights.near >= weights.stored:
        return schedule
    forced = same_weights and weights.bytes <= limit and (weights.is_faster or not weights.compute_bound)
    slices = (0, spec.out_channels) if forced else _slices(weights)
    parts = slices and _buffer_parts(slice_bytes(machine, spec, schedule.block, slices), limit)
    if not slices or not parts:
        return schedule
    prefetched = weights.may_prefetch and parts[0] < weights.slack_bytes
    hidden = weights.slack if prefetched else _STARTUP_CYCLES if weights.at_start else 0
    ifm_memory = machine.near if schedule.reads_rolling_buffer or schedule.near_ifm else machine.far
    memories = PassMemories(ifm_memory, ifm_memory, machine.far, machine.near)
    cost = sliced_cost(machine, spec, schedule.block, schedule.rows, slices, memories, hidden, len(parts) == 2)
    count = len(slices) - 1
    if not forced:
        movable_ifm = ifm_from_pass and machine.spills and ifm_memory != machine.near
        if movable_ifm and _prefers_feature_maps(weights, cost, reader, sum(parts)):
            return schedule
        near_ifm = movable_ifm and cost.ifm_bytes + sum(parts) <= limit
        if not _is_no_worse(weights, cost, count, near_ifm):
            return schedule
    return replace(
        schedule,
        slices=slices,
        sliced_cost=cost,
        buffer=WeightBuffer(parts, prefetched),
        slack_cycles=cost.last_slice_cycles,
        slack_bytes=limit - parts[(count - 1) % len(parts)],
    )


def _weights(machine: Machine, spec: PassSpec, schedule: PassSchedule, previous: Slack | None, limit: int) -> _Weights:
    slices = (0, spec.out_channels)
    total = sum(slice_bytes(machine, spec, schedule.block, slices))
    copy = copy_cycles(machine, machine.near, machine.constants, total)
    reads = schedule.access.weight_reads * _stripes(spec, schedule)
    stored, near = (
        read_cycles(machine, memory, total, "weights") * reads for memory in (machine.constants, machine.near)
    )
    schedule = replace(schedule, slices=slices, copy_cycles=copy)
    return _Weights(machine, spec, schedule, previous, limit, total, copy, reads, stored, near)


def _stripes(spec: PassSpec, schedule: PassSchedule) -> int:
    return ceil_div(spec.ofm.height, schedule.rows) if schedule.cascaded else 1


def _slices(weights: _Weights) -> tuple[int, ...]:
    """Output channels to cut the weights at, () where copying them cannot pay."""
    spec, schedule = weights.spec, weights.schedule
    channels, copy, slack = spec.out_channels, weights.copy, weights.slack
    if schedule.cascaded or spec.transposes_channels:  # copied whole or not at all
        hidden = weights.wait < copy // 20 or ceil_div(weights.wait, _stripes(spec, schedule)) < _STARTUP_CYCLES
        fits = weights.bytes <= weights.limit and (hidden or weights.at_start)
        return (0, channels) if fits and (weights.is_faster or not weights.compute_bound) else ()
    hidden = weights.may_prefetch and weights.smallest_copy < slack and weights.reads > 1
    if weights.at_start or weights.is_faster or channels // schedule.block.ofm[2] > 2 or hidden:
        return _cut(weights)
    return ()


def _cut(weights: _Weights) -> tuple[int, ...]:
    """Output channels to cut the weights at, a first slice and then equal ones; () where the slices would leave the MAC
    units idle.
    """
    channels, block = weights.spec.out_channels, weights.schedule.block
    half = weights.limit // 2
    first_share = _first_share(weights, half)
    if first_share >= 1.0:
        return 0, channels
    granule = max(_SLICE_CHANNELS, block.microblock[2])
    first = max(round_down(int(channels * first_share), granule), _SLICE_CHANNELS)
    then = _channels_meanwhile(weights, first, half) if first < channels else 0
    slices: tuple[int, ...] = (0, channels)
    while then:
        then = max(round_down(then, block.ofm[2] if then > block.ofm[2] else granule), granule)
        slices = (0, *range(first, channels, then), channels)
        sizes = slice_bytes(weights.machine, weights.spec, block, slices)
        if max(sizes) <= half or (first == _SLICE_CHANNELS and then == granule):
            break
        if then > first:
            then = round_up(then // 2, granule)
        else:
            first = round_up(first // 2, _SLICE_CHANNELS)
    if len(slices) > 3 and then / round_up(then, block.ofm[2]) < 0.3 and weights.compute_bound:
        return ()
    return slices


def _first_share(weights: _Weights, half: int) -> float:
    """Share of the weights in the first slice: what the slack hides. half: bytes of half the near memory left."""
    channels = weights.spec.out_channels
    smallest = min(_SLICE_CHANNELS / channels, 1.0)
    hidden = min(weights.slack / weights.copy, 1.0)
    aligned = floor(hidden / smallest) * smallest
    share = 1.0 if 1.0 - aligned < smallest / 2 else hidden
    if weights.compute_bound and 0.5 < share < 1.0:
        share = min(max(round_up(floor(channels * 0.5), _SLICE_CHANNELS) / channels, 0.5), 1.0)
    return min(max(share, smallest), min(half / weights.bytes, 1.0))


def _channels_meanwhile(weights: _Weights, first: int, half: int) -> int:
    """Output channels whose weights can be copied while the first slice, of `first` channels, computes."""
    machine, spec, block = weights.machine, weights.spec, weights.schedule.block
    part = spec.stripe(spec.ofm.height, spec.ifm.height, first)
    ifm_memory = machine.near if weights.schedule.near_ifm else machine.far
    memories = PassMemories(ifm_memory, machine.far, machine.far, machine.near)
    cycles = compute_cycles(machine, part, block, memories, first=True, last=False)
    channels = round_up(max(int(spec.out_channels * cycles / weights.copy), _SLICE_CHANNELS), block.ofm[2])
    if int(channels / spec.out_channels * weights.bytes) > half:
        return int(half / weights.bytes * spec.out_channels)
    return channels


def _buffer_parts(sizes: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Bytes of the parts of a buffer for slices of the given sizes: two where they fit, else one, else ()."""
    even, odd = max(sizes[::2]), max(sizes[1::2], default=0)
    if odd and even + odd <= limit:
        return even, odd
    return (max(sizes),) if max(sizes) <= limit else ()


def _prefers_feature_maps(weights: _Weights, cost: SlicedCost, reader: SlicedCost | None, buffer_bytes: int) -> bool:
    """Whether the near memory is better left to the IFM, or to the output for its first reader.

    cost: with the buffer.
    """
    stored = weights.cost
    room = weights.previous.bytes if weights.previous else 0
    near_ifm_cycles = read_cycles(weights.machine, weights.machine.near, stored.ifm_read_bytes, "ifm")
    with_ifm = max(stored.cycles, stored.weight_cycles, near_ifm_cycles)
    with_weights = max(cost.cycles_with_waits, cost.weight_cycles, cost.ifm_cycles)
    both_fit = cost.ifm_bytes + buffer_bytes <= weights.limit
    if not both_fit and cost.ifm_bytes < room and with_ifm < with_weights and with_ifm < cost.ifm_cycles:
        return True
    if reader is None or reader.compute_bound or not reader.weight_cycles:
        return False
    if reader.ifm_cycles / reader.weight_cycles <= 2.0 or reader.ifm_bytes >= weights.limit:
        return False
    if reader.ifm_bytes + cost.ifm_bytes + buffer_bytes <= room:
        return False
    return stored.compute_bound or reader.ifm_cycles > cost.ifm_cycles


def _is_no_worse(weights: _Weights, cost: SlicedCost, count: int, near_ifm: bool) -> bool:
    """Whether a buffer is no worse than reading the weights where they are stored.

    cost: with the buffer. count: slices. near_ifm: whether the IFM fits near as well.
    """
    stored, machine = weights.cost, weights.machine
    ifm_cycles = read_cycles(machine, machine.near, cost.ifm_read_bytes, "ifm") if near_ifm else cost.ifm_cycles
    without = max(stored.cycles, stored.weight_cycles, ifm_cycles)
    computing = cost.cycles_with_waits
    with_buffer = max(computing, cost.weight_cycles, ifm_cycles)
    if weights.compute_bound:
        waits_matter = computing == with_buffer
        if cost.waiting_cycles // count < _STARTUP_CYCLES:
            with_buffer -= cost.waiting_cycles
        if count > 1 and waits_matter and computing == with_buffer and weights.at_start:
            with_buffer -= count * (_STARTUP_CYCLES // 2)
    if weights.reads == 1 and weights.copy + cost.weight_cycles > without:
        return False
    return without >= with_buffer
