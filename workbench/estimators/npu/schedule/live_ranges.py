"""From when to when every feature map, rolling buffer and weight buffer is needed.

Rules: Ethos-U Vela 5.2, live ranges of the scheduler.

    time    2k is the k-th pass (all of a cascade share one); at odd times weights are prefetched
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import accumulate

from ..passes import Pass
from ..rounding import round_up
from .dataflow import Dataflow
from .program import Program
from .striping import Striping

__all__ = ["LiveRange", "live_ranges", "near_ranges", "near_usage", "rolling_bytes", "usage", "weight_buffer_ranges"]


@dataclass
class LiveRange:
    """Times start..end, both included, in which `size` bytes are needed; names: of the tensors that share them."""

    start: int
    end: int
    size: int
    names: list[str] = field(default_factory=list)


def rolling_bytes(program: Program, striping: Striping) -> dict[str, int]:
    """Bytes of the rolling buffer that stands for each feature map inside a cascade, 0 where it shares another's."""
    return {
        program.dataflow.primary_input(program.passes[i]): size
        for cascade in striping.cascades
        for i, size in zip(range(cascade.first + 1, cascade.last + 1), cascade.rolling, strict=True)
    }


def live_ranges(
    passes: Sequence[Pass], dataflow: Dataflow, cascaded: Sequence[bool], times: Sequence[int],
    names: AbstractSet[str], rolling: Mapping[str, int],
) -> list[LiveRange]:  # fmt: skip
    """Live ranges of the named feature maps; an output outside of cascades takes the place of an input that nobody else
    reads where every element depends on one of its.

    cascaded: whether each pass is in a cascade. times: when each runs. rolling: bytes of the feature maps of which only
    some rows exist at a time.
    """
    ranges: list[LiveRange] = []
    by_name: dict[str, LiveRange] = {}
    end = max(times, default=0) + 2
    writers, readers = dataflow.writers, dataflow.readers
    touching: Iterable[int] = range(len(passes))
    if 2 * len(names) < len(passes):
        users = [i for name in names for passes_of in (writers, readers) for i in passes_of.get(name, ())]
        touching = sorted(set(users))
    for i in touching:
        output, now = passes[i].output, times[i]
        writes = output in names
        if writes and passes[i].scratch_bytes:
            ranges.append(LiveRange(now, now, passes[i].scratch_bytes, [f"{output} scratch"]))
        if writes and output not in by_name and dataflow.overwritable[i] and not cascaded[i]:
            reused = next((name for name in dataflow.overwritable[i] if name in names), "")
            if reused:
                if reused not in by_name:
                    by_name[reused] = LiveRange(now, now + 1, dataflow.bytes[reused], [reused])
                    ranges.append(by_name[reused])
                by_name[output] = by_name[reused]
                by_name[reused].names.append(output)
        for name in (*dataflow.inputs[i], output) if writes else dataflow.inputs[i]:
            if name not in names:
                continue
            live_range = by_name.get(name)
            if live_range is None:
                size = round_up(rolling.get(name, dataflow.bytes[name]), 16)
                live_range = by_name[name] = LiveRange(now, now + 1, size, [name])
                ranges.append(live_range)
            if name not in writers:
                live_range.start = 0
            elif now < live_range.start:
                live_range.start = now
            if name == output and not readers[name]:
                live_range.end = end
            elif now >= live_range.end:
                live_range.end = now + 1
    return ranges


def near_ranges(program: Program, striping: Striping) -> list[LiveRange]:
    """Live ranges of rolling buffers and inputs' copies and, where they cannot be far, of all other feature maps."""
    rolling = rolling_bytes(program, striping)
    names = program.input_copies.union(rolling) if program.machine.spills else set(program.dataflow.bytes)
    if not names:
        return []
    return live_ranges(program.passes, program.dataflow, striping.cascaded, striping.times, names, rolling)


def near_usage(program: Program, striping: Striping) -> list[int]:
    """Bytes of `near_ranges` at every time."""
    return usage(near_ranges(program, striping), program.duration)


def weight_buffer_ranges(program: Program, striping: Striping) -> list[LiveRange]:
    """Live ranges of the weight buffers; passes one after the other with the same weights share one."""
    ranges: list[LiveRange] = []
    buffered = ""  # name of the weights in the last buffer
    for pass_, schedule, t in zip(program.passes, striping.schedules, striping.times, strict=True):
        if schedule.buffer is None:
            buffered = ""
            continue
        if pass_.weight_name == buffered and len(schedule.buffer.parts) == 1:
            ranges[-1].end = t + 1
            continue
        buffered = pass_.weight_name if len(schedule.buffer.parts) == 1 else ""
        parts = schedule.buffer.parts
        last = (len(schedule.slices) - 2) % len(parts)
        for k, size in enumerate(parts):
            start = max(t - 1, 0) if k == 0 and schedule.buffer.prefetched else t
            ranges.append(LiveRange(start, t + (1 if k == last else 0), size))
    return ranges


def usage(ranges: Sequence[LiveRange], duration: int) -> list[int]:
    """Bytes needed at every time 0..duration - 1.

    >>> usage([LiveRange(0, 1, 16), LiveRange(1, 2, 32)], 4)
    [16, 48, 32, 0]
    """
    change = [0] * (duration + 1)
    for r in ranges:
        change[min(r.start, duration)] += r.size
        change[min(r.end + 1, duration)] -= r.size
    return list(accumulate(change[:duration]))
