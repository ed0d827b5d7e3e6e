"""How the passes of a network run, decided in the compiler's order.

Rules: Ethos-U Vela 5.2, scheduler. Passes run whole where they fit, else in cascades; stripes grow while they fit; then
weights are buffered, and feature maps placed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..machine import Machine
from ..passes import Pass
from .cascades import with_cascades
from .junctions import Junctions
from .live_ranges import live_ranges, near_ranges, near_usage, usage, weight_buffer_ranges
from .pass_schedule import PassSchedule, Slack, slice_bytes, whole_schedule
from .placement import near_maps
from .program import Program
from .stripe_heights import with_highest_stripes
from .striping import Striping
from .weight_buffering import with_weight_buffer

__all__ = ["LUT_BYTES", "MemoryUsage", "NetworkSchedule", "schedule_passes"]

_NO_LIMIT = 1 << 30
LUT_BYTES = 256  # of the lookup table of an activation


@dataclass(frozen=True)
class MemoryUsage:
    """Bytes in use at every time (see `live_ranges`): near, and far where feature maps can be there. constants: bytes
    of stored weights, scales and lookup tables.
    """

    near: Sequence[int]
    far: Sequence[int]
    constants: int


@dataclass(frozen=True, eq=False)
class NetworkSchedule:
    """How the passes of a network run. near: names of the feature maps that are near. near_usage: bytes near at every
    time.
    """

    program: Program
    striping: Striping
    near: frozenset[str]
    near_usage: Sequence[int]

    @cached_property
    def memory_usage(self) -> MemoryUsage:
        """The memory it takes; a search that needs nothing but cycles never has it counted."""
        program, striping = self.program, self.striping
        far = [0] * len(self.near_usage)
        if program.machine.spills:
            names = set(program.dataflow.bytes) - self.near
            ranges = live_ranges(program.passes, program.dataflow, striping.cascaded, striping.times, names, {})
            far = usage(ranges, len(far))
        return MemoryUsage(self.near_usage, far, _constant_bytes(program, striping))


def schedule_passes(machine: Machine, passes: Sequence[Pass]) -> NetworkSchedule:
    """How the passes run on the machine."""
    program = Program.of(machine, passes)
    striping = _striping(program)
    if machine.spills:
        near, used = near_maps(program, striping)
    else:
        near, used = frozenset(program.dataflow.bytes), _near_usage(program, striping)
    return NetworkSchedule(program, striping, near, used)


def _constant_bytes(program: Program, striping: Striping) -> int:
    """Stored weights and scales, those that passes share once, and lookup tables."""
    stored: dict[str, int] = {}
    for i, (pass_, schedule) in enumerate(zip(program.passes, striping.schedules, strict=True)):
        if pass_.weight_bytes:
            slices = (0, pass_.spec.out_channels)
            stored[pass_.weight_name or f"{i}"] = sum(slice_bytes(program.machine, pass_.spec, schedule.block, slices))
    tables = sum(link.op == "LUT" for pass_ in program.passes for link in pass_.chain)
    return sum(stored.values()) + tables * LUT_BYTES


def _striping(program: Program) -> Striping:
    """Whole passes where these fit, else cascades; with weight buffers."""
    machine = program.machine
    limit = cascade_limit = machine.near_bytes
    whole = Striping([_whole_schedule(program, pass_) for pass_ in program.passes])
    if not machine.spills and machine.performance:
        striping = _with_weight_buffers(program, whole, _NO_LIMIT, None)
        if max(_near_usage(program, striping)) < limit:
            return striping
    if not machine.performance:
        cascade_limit = min(near_usage(program, whole))
    junctions = Junctions.of(program)
    striping = with_cascades(program, junctions, whole, cascade_limit)
    if not machine.performance:
        limit = max(near_usage(program, striping)) or limit
    striping = with_highest_stripes(program, junctions, whole, striping, limit)
    return _with_weight_buffers(program, striping, limit, _near_usage(program, striping))


def _whole_schedule(program: Program, pass_: Pass) -> PassSchedule:
    """The pass in one stripe; the compiler hides no weights behind the copy of an input."""
    if not program.input_copies:
        return whole_schedule(program.machine, pass_.spec)
    schedule = whole_schedule(program.machine, pass_.spec, program.reads_copy(pass_))
    return replace(schedule, cycles=0, slack_cycles=0) if pass_.output in program.input_copies else schedule


def _near_usage(program: Program, striping: Striping) -> list[int]:
    """Bytes near at every time: feature maps that cannot be far, rolling buffers and weight buffers."""
    return usage([*near_ranges(program, striping), *weight_buffer_ranges(program, striping)], program.duration)


def _with_weight_buffers(program: Program, striping: Striping, limit: int, used: list[int] | None) -> Striping:
    """Every pass with the weight buffer that pays.

    used: bytes near at every time, whose complement to `limit` is free; None where all of it is. Buffers are added.
    """
    dataflow, passes = program.dataflow, program.passes
    free = most = min(limit, _NO_LIMIT)
    schedules = []
    previous: Slack | None = None
    neighbour = passes[1].weight_name if len(passes) > 1 else ""  # the first is compared with the one after it
    for pass_, schedule, t in zip(passes, striping.schedules, striping.times, strict=True):
        if not pass_.weight_bytes:
            schedules.append(schedule)
            neighbour = ""
            if used is not None:
                free = max(most - max(used[t], 0), 0)
            previous = Slack(schedule.slack_cycles, free)
            continue
        readers = dataflow.readers[pass_.output]
        reader = striping.schedules[readers[0]].sliced_cost if readers else None
        ifm_from_pass = bool(pass_.inputs) and pass_.inputs[0] in dataflow.writers
        same_weights = bool(pass_.weight_name) and pass_.weight_name == neighbour
        neighbour = pass_.weight_name
        if used is not None:
            buffer_bytes = schedule.buffer.bytes if schedule.buffer else 0
            free = max(most - max(used[t] - buffer_bytes, 0), 0)
        unbuffered = replace(schedule, buffer=None) if schedule.buffer else schedule
        buffered = with_weight_buffer(
            program.machine, pass_.spec, unbuffered, previous, reader, ifm_from_pass, free, same_weights
        )
        if used is not None and buffered.buffer:
            used[t] += buffered.buffer.bytes  # on top of its own from before: the compiler counts it twice, too
        schedules.append(buffered)
        previous = buffered.slack
    return Striping(schedules, striping.cascades)
