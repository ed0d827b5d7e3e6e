"""Which feature maps live in the near memory.

Rules: Ethos-U Vela 5.2, fast storage allocator. Every feature map made outside a cascade is a candidate; what cannot
fit goes far, what always fits stays, and among the others the subset with the most accesses is sought, twenty live
ranges at a time.
"""

from collections.abc import Sequence

import numpy as np

from ..passes import ELEMENTWISE, Pass
from .live_ranges import LiveRange, live_ranges, rolling_bytes, usage, weight_buffer_ranges
from .program import Program
from .striping import Striping

__all__ = ["near_maps"]

_GROUP = 20  # overlapping live ranges that are decided together
_UNBOUNDED = 2**31 - 1


def near_maps(program: Program, striping: Striping) -> tuple[frozenset[str], list[int]]:
    """Names of the feature maps that are near, rolling buffers and inputs' copies included, and the bytes near at every
    time.
    """
    passes, dataflow, times, cascaded = program.passes, program.dataflow, striping.times, striping.cascaded
    rolling = rolling_bytes(program, striping)
    always_near = program.input_copies.union(rolling)
    candidates = {
        pass_.output
        for pass_, in_cascade in zip(passes, cascaded, strict=True)
        if not in_cascade and dataflow.readers[pass_.output] and pass_.output not in always_near
    }
    ranges = live_ranges(passes, dataflow, cascaded, times, candidates, {})
    near_from_start = live_ranges(passes, dataflow, cascaded, times, always_near, rolling)
    fixed = usage([*near_from_start, *weight_buffer_ranges(program, striping)], program.duration)
    near_ranges = _near_ranges(program, striping, ranges, fixed)
    near = {name for r in near_ranges for name in r.names} | always_near
    near = _without_mixed_inputs(program, striping, near, always_near)
    used = usage([r for r in near_ranges if not near.isdisjoint(r.names)], len(fixed))
    return frozenset(near), [a + b for a, b in zip(fixed, used, strict=True)]


def _near_ranges(
    program: Program, striping: Striping, ranges: Sequence[LiveRange], fixed: Sequence[int]
) -> Sequence[LiveRange]:
    """The live ranges that are near. fixed: bytes of buffers at every time."""
    limit = program.machine.near_bytes
    # most ranges are two or three times long: lists are faster than arrays
    fitting = [r for r in ranges if max(fixed[r.start : r.end + 1]) + r.size <= limit]
    most = [a + b for a, b in zip(fixed, usage(fitting, len(fixed)), strict=True)]
    near: list[LiveRange] = []
    rivals: list[LiveRange] = []
    for r in fitting:
        (near if max(most[r.start : r.end + 1]) <= limit else rivals).append(r)
    if not rivals:
        return near
    used = np.add(fixed, usage(near, len(fixed)))
    for group in _groups(rivals):
        accesses = [_accesses(program, striping, r) for r in group]
        for r, fits in zip(group, _best_subset(group, accesses, used, limit), strict=True):
            if fits:
                near.append(r)
                used[r.start : r.end + 1] += r.size
    return near


def _groups(rivals: Sequence[LiveRange]) -> list[Sequence[LiveRange]]:
    """Live ranges that overlap, in groups of about `_GROUP`."""
    groups = []
    begin, end = 0, rivals[0].end
    for i in range(1, len(rivals)):
        if rivals[i].start <= end and i - begin <= _GROUP:
            end = max(end, rivals[i].end)
        else:
            groups.append(rivals[begin:i])
            begin, end = i, rivals[i].end
    return [*groups, rivals[begin:]]


def _accesses(program: Program, striping: Striping, live_range: LiveRange) -> int:
    """Elements read and written in a live range, unbounded where a cascade reads it besides its own rolling buffer."""
    passes, dataflow, schedules = program.passes, program.dataflow, striping.schedules
    total = 0
    for name in live_range.names:
        for i in dataflow.readers[name]:
            if schedules[i].reads_rolling_buffer:
                return _UNBOUNDED
            inputs = passes[i].inputs
            if inputs and inputs[0] == name:
                both = len(inputs) == 1 and passes[i].ifm2 is not None  # both inputs are this one
                total += schedules[i].access.ifm * (2 if both else 1)
            elif len(inputs) > 1 and inputs[1] == name:
                total += schedules[i].access.ifm2
            else:
                total += dataflow.bytes[name]
        for i in dataflow.writers[name]:
            # the compiler leaves out what a chain writes on the U85
            chained = program.machine.family == "u85" and passes[i].chain
            total += 0 if chained else schedules[i].access.ofm
    return total


def _best_subset(group: Sequence[LiveRange], accesses: Sequence[int], used: np.ndarray, limit: int) -> list[bool]:
    """Which of the live ranges fit with the most accesses; of equal subsets the one that keeps early ones."""
    low = min(r.start for r in group)
    high = max(r.end for r in group) + 1
    used = used[low:high].copy()
    remaining = np.cumsum([0, *reversed(accesses)])[::-1]
    best_total, best = -1, [False] * len(group)
    subset = [False] * len(group)

    def search(i: int, total: int) -> None:
        nonlocal best_total, best
        if total + remaining[i] <= best_total:
            return
        if i == len(group):
            best_total, best = total, list(subset)
            return
        r = group[i]
        window = used[r.start - low : r.end + 1 - low]
        if window.max() + r.size <= limit:
            subset[i] = True
            window += r.size
            search(i + 1, total + accesses[i])
            window -= r.size
        subset[i] = False
        search(i + 1, total)

    search(0, 0)
    return best


def _without_mixed_inputs(
    program: Program, striping: Striping, near: set[str], always_near: frozenset[str]
) -> set[str]:
    """The inputs of a pass lie in one memory: where one is far, inputs that only elementwise passes read go far too."""
    near, readers = set(near), program.dataflow.readers
    for names, schedule in zip(program.dataflow.inputs, striping.schedules, strict=True):
        if near.issuperset(names) or schedule.reads_rolling_buffer:
            continue
        for name in names:
            movable = name in near and name not in always_near
            if movable and all(_reads_elementwise(program.passes[i], name) for i in readers[name]):
                near.discard(name)
    return near


def _reads_elementwise(pass_: Pass, name: str) -> bool:
    """Whether nothing but elementwise operators of a pass, chained ones included, read a feature map."""
    return (name not in pass_.inputs or pass_.op in ELEMENTWISE) and all(
        link.op in ELEMENTWISE for link in pass_.chain if link.operand_name == name
    )
