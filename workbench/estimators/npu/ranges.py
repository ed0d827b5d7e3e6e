"""When every feature map, rolling buffer and weight buffer is needed.

Rules: Ethos-U Vela 5.2, live ranges of the scheduler.

    time 2k is the k-th pass (all of a cascade share one); odd times are when weights are fetched ahead
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from .passes import ELEMENTWISE, Pass, up
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
    now = 0
    begun: dict[int, int] = {}
    for step in steps:
        if step.cascade >= 0 and step.cascade in begun:
            times.append(begun[step.cascade])
            continue
        begun[step.cascade] = now
        times.append(now)
        now += 2
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
    if not names:
        return ranges
    of: dict[str, Range] = {}
    last = max(times, default=0) + 2
    for i, pass_ in enumerate(passes):
        output = pass_.output
        inputs = dict.fromkeys(
            name for name in (*pass_.inputs, *(link.other_name for link in pass_.chain)) if name in names
        )
        if output in names and output not in of and not striped[i] and _one_to_one(pass_):
            reused = next((name for name in _alike(pass_) if name in names and _replaceable(tensors, name, output)), "")
            if reused:
                if reused not in of:
                    of[reused] = Range(times[i], times[i] + 1, tensors.bytes[reused], [reused])
                    ranges.append(of[reused])
                of[output] = of[reused]
                of[reused].names.append(output)
        for name in (*inputs, *([output] if output in names else [])):
            if name not in of:
                size = up(rolling.get(name, tensors.bytes[name]), 16)
                of[name] = Range(times[i], times[i] + 1, size, [name])
                ranges.append(of[name])
            found = of[name]
            given = name not in tensors.makers
            found.start = 0 if given else min(found.start, times[i])
            found.end = last if name == output and not tensors.readers[name] else max(found.end, times[i] + 1)
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


def usage(ranges: Sequence[Range], length: int) -> np.ndarray:
    """Bytes needed at every time."""
    used = np.zeros(length, np.int64)
    for r in ranges:
        used[r.start : r.end + 1] += r.size
    return used


def _one_to_one(pass_: Pass) -> bool:
    return pass_.op in ELEMENTWISE or (
        pass_.kernel == (1, 1) and pass_.op in ("AvgPool", "MaxPool", "Quantize", "MemoryCopy")
    )


def _alike(pass_: Pass) -> list[str]:
    """The inputs whose channels lie as those of the output do."""
    read = zip(pass_.inputs, (pass_.ifm, pass_.ifm2), strict=False)
    return [name for name, shape in read if shape is not None and shape.bricks == pass_.written.bricks]


def _replaceable(tensors: Tensors, name: str, output: str) -> bool:
    return (
        len(tensors.readers[name]) == 1
        and len(tensors.makers[output]) == 1
        and tensors.bytes[name] == tensors.bytes[output]
    )
