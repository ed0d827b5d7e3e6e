"""Cascades of the highest stripes that fit near, weights copied near where that pays.

Rules: Ethos-U Vela 5.2, cascade optimisation of the scheduler. Higher stripes read fewer rows twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from ..machine import Machine
from ..passes import PassSpec
from .cascades import Stripes, build_cascades
from .junctions import Junctions
from .live_ranges import near_usage
from .near_memory import NearMemory, near_memory
from .pass_schedule import PassSchedule, Slack, WeightBuffer, cascaded_schedule, rows_read
from .program import Program
from .striping import Cascade, Striping
from .weight_buffering import with_weight_buffer

__all__ = ["with_highest_stripes"]

_Heights = tuple[tuple[int, ...], tuple[Cascade, ...]]  # rows of the stripe of every pass, and the cascades then


class _Surroundings(NamedTuple):
    """used_bytes: near while a cascade runs. previous: what the pass before it leaves, None for the first pass.
    shared_input_bytes: of its input, if others read that too, else 0.
    """

    used_bytes: int
    previous: Slack | None
    shared_input_bytes: int


def with_highest_stripes(
    program: Program, junctions: Junctions, whole: Striping, striping: Striping, limit: int
) -> Striping:
    """The cascades of `striping` with the highest stripes that fit `limit` bytes; whole: all passes in one stripe."""
    if not striping.cascades:
        return striping
    used = near_usage(program, striping)
    memory = near_memory(program, striping)
    schedules = list(striping.schedules)
    cascades: list[Cascade] = []
    for cascade in striping.cascades:
        surroundings = _surroundings(program, striping, cascade, used, limit)
        inner = slice(cascade.first, cascade.last + 1)
        smallest, outside = striping.schedules[inner], whole.schedules[inner]
        higher = _heighten(program.machine, junctions, smallest, outside, cascade, surroundings, memory, limit)
        schedules[inner] = higher.schedules
        cascades += higher.cascades
    return Striping(schedules, cascades)


def _surroundings(
    program: Program, striping: Striping, cascade: Cascade, used: Sequence[int], limit: int
) -> _Surroundings:
    first, times, dataflow = cascade.first, striping.times, program.dataflow
    previous, shared_input_bytes = None, 0
    if first:
        previous = Slack(striping.schedules[first - 1].cycles, limit - used[times[first - 1]])
    name = dataflow.primary_input(program.passes[first])
    if not program.machine.spills and len(dataflow.readers.get(name, ())) > 1:
        shared_input_bytes = dataflow.bytes[name]
    return _Surroundings(used[times[first]], previous, shared_input_bytes)


def _heighten(
    machine: Machine, junctions: Junctions, smallest: Sequence[PassSchedule], whole: Sequence[PassSchedule],
    cascade: Cascade, surroundings: _Surroundings, memory: NearMemory, limit: int,
) -> Striping:  # fmt: skip
    """The passes of a cascade with the highest stripes that fit, in one cascade or several.

    smallest, whole: its passes in the smallest stripes and in one.
    """
    first, last = cascade.first, cascade.last
    inner = junctions.part(first, last)
    buffers = _weight_buffers(machine, inner.specs, smallest, surroundings, limit)
    buffer_bytes = tuple([buffer.bytes if buffer and len(buffer.parts) == 1 else 0 for buffer in buffers])
    rows = tuple([schedule.rows for schedule in smallest])
    beside = max(0, surroundings.used_bytes - cascade.own_bytes)
    if memory.lifetimes is None:
        heights = _highest_where_maps_may_be_far(inner, rows, buffer_bytes, beside, limit)
    else:
        later = [beside + surroundings.shared_input_bytes] * (last - first)
        heights = _highest(inner, rows, buffer_bytes, limit, memory.part(first, last, [beside, *later]))
    if heights is None:
        return Striping(smallest, [cascade])
    rows, cascades = heights
    schedules = list(whole)
    for part in cascades:
        for i in range(part.first, part.last + 1):
            schedule = cascaded_schedule(machine, inner.specs[i], rows[i], i == part.first, whole[i].near_ifm)
            schedules[i] = replace(schedule, buffer=buffers[i]) if buffer_bytes[i] else schedule
    return Striping(schedules, [replace(part, first=part.first + first, last=part.last + first) for part in cascades])


def _weight_buffers(
    machine: Machine, specs: Sequence[PassSpec], smallest: Sequence[PassSchedule], surroundings: _Surroundings,
    limit: int,
) -> list[WeightBuffer | None]:  # fmt: skip
    """The weight buffer of every pass in the smallest stripes."""
    used, previous = surroundings.used_bytes, surroundings.previous
    buffers = []
    for i, (spec, schedule) in enumerate(zip(specs, smallest, strict=True)):
        room = max(0, limit - used)
        buffered = with_weight_buffer(machine, spec, schedule, previous, None, machine.spills and i > 0, room)
        used += buffered.buffer.bytes if buffered.buffer else 0
        buffers.append(buffered.buffer)
        previous = buffered.slack
    return buffers


@lru_cache(maxsize=1 << 14)
def _highest_where_maps_may_be_far(
    junctions: Junctions, rows: tuple[int, ...], buffer_bytes: tuple[int, ...], beside: int, limit: int
) -> _Heights | None:
    """`_highest` depends on nothing but the passes themselves there, and most cascades are met again."""
    count = len(rows)
    return _highest(junctions, rows, buffer_bytes, limit, NearMemory([beside] * count, [0] * count))


def _highest(
    junctions: Junctions, smallest: Sequence[int], buffer_bytes: Sequence[int], limit: int, memory: NearMemory
) -> _Heights | None:
    """The highest stripes that fit; None where only the smallest do. smallest: rows of these."""
    specs, rows, rows_in = junctions.specs, list(smallest), [0] * len(smallest)
    stripes = Stripes(rows, rows_in, buffer_bytes)
    heights: _Heights | None = None
    count = 0  # of cascades in the first stripes that are tried
    for height in range(smallest[-1] + 1, (specs[-1].ofm.height + 1) // 2 + 1):
        needed = height
        for i in range(len(specs) - 1, -1, -1):
            rows[i] = min(needed, specs[i].ofm.height)
            rows_in[i] = rows_read(specs[i], rows[i])
            needed = rows[i] * specs[i].stride[0]
        cascades = build_cascades(junctions, stripes, limit, memory)
        count = count or len(cascades)
        if len(cascades) > count or not _all_fit(specs, cascades, buffer_bytes, limit, memory):
            break
        heights = tuple(rows), tuple(cascades)
        if not cascades:
            break
    return heights


def _all_fit(
    specs: Sequence[PassSpec], cascades: Sequence[Cascade], buffer_bytes: Sequence[int], limit: int,
    memory: NearMemory,
) -> bool:  # fmt: skip
    """Whether all cascades and the passes outside of them fit `limit` bytes."""
    if any(cascade.bytes > limit for cascade in cascades):
        return False
    inside = {i for cascade in cascades for i in range(cascade.first, cascade.last + 1)}
    return all(
        buffer_bytes[i] + spec.ifm_bytes + spec.ofm_bytes + spec.ifm2_bytes + memory.beside[i] <= limit
        for i, spec in enumerate(specs)
        if i not in inside
    )
