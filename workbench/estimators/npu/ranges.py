"""When every feature map, rolling buffer and weight buffer is needed.

Rules: Ethos-U Vela 5.2, live ranges of the scheduler.

    time 2k is the k-th pass (all of a cascade share one); odd times are when weights are fetched ahead
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import accumulate

from .passes import Pass, up
from .steps import Cascade, Step
from .tensors import Tensors

__all__ = ["Range", "live_ranges", "rolling_bytes", "times_of", "usage", "weight_buffers"]


@dataclass
class Range:
    """A stretch of time, both ends included, in which some bytes are needed, and the tensors that share them."""

    start: int
    end: int
    size: int
    names: list[str] = field(default_factory=list)


def times_of(steps: Sequence[Step]) -> list[int]:
    """When every pass runs."""
    times: list[int] = []
    now = -2
    for step in steps:
        if not step.cascaded or step.leads:
            now += 2
        times.append(now)
    return times


def rolling_bytes(passes: Sequence[Pass], tensors: Tensors, cascades: Sequence[Cascade]) -> dict[str, int]:
    """Bytes of the rolling buffer that stands for each map inside a cascade, 0 where it lies in another's."""
    return {
        tensors.primary(passes[i]): size
        for cascade in cascades
        for i, size in zip(range(cascade.first + 1, cascade.last + 1), cascade.rolling, strict=True)
    }


def live_ranges(
    passes: Sequence[Pass], tensors: Tensors, striped: Sequence[bool], times: Sequence[int], names: AbstractSet[str],
    rolling: Mapping[str, int],
) -> list[Range]:  # fmt: skip
    """Live ranges of the named maps; an output takes the place of an input nobody else reads where one element makes
    one element.

    striped: whether a pass is in a cascade. rolling: the bytes of maps of which only some rows exist at a time.
    """
    ranges: list[Range] = []
    of: dict[str, Range] = {}
    last = max(times, default=0) + 2
    makers, readers = tensors.makers, tensors.readers
    touched = {i for name in names for found in (makers.get(name, ()), readers.get(name, ())) for i in found}
    for i in sorted(touched):
        output, now = passes[i].output, times[i]
        made = output in names
        if made and output not in of and tensors.replaceable[i] and not striped[i]:
            reused = next((name for name in tensors.replaceable[i] if name in names), "")
            if reused:
                if reused not in of:
                    of[reused] = Range(now, now + 1, tensors.bytes[reused], [reused])
                    ranges.append(of[reused])
                of[output] = of[reused]
                of[reused].names.append(output)
        for name in (*tensors.read[i], output) if made else tensors.read[i]:
            if name not in names:
                continue
            range_ = of.get(name)
            if range_ is None:
                size = up(rolling.get(name, tensors.bytes[name]), 16)
                range_ = of[name] = Range(now, now + 1, size, [name])
                ranges.append(range_)
            if name not in makers:
                range_.start = 0
            elif now < range_.start:
                range_.start = now
            if name == output and not readers[name]:
                range_.end = last
            elif now >= range_.end:
                range_.end = now + 1
    return ranges


def weight_buffers(steps: Sequence[Step], times: Sequence[int]) -> list[Range]:
    """When the weights copied near are there."""
    ranges = []
    for step, t in zip(steps, times, strict=True):
        if step.buffer is None:
            continue
        parts = step.buffer.parts
        last = (len(step.slices) - 2) % len(parts)
        for k, size in enumerate(parts):
            start = max(t - 1, 0) if k == 0 and step.buffer.ahead else t
            ranges.append(Range(start, t + (1 if k == last else 0), size))
    return ranges


def usage(ranges: Sequence[Range], length: int) -> list[int]:
    """Bytes needed at every time."""
    change = [0] * (length + 1)
    for r in ranges:
        change[min(r.start, length)] += r.size
        change[min(r.end + 1, length)] -= r.size
    return list(accumulate(change[:length]))
