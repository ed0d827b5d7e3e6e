"""Which feature maps live in the near memory.

Rules: Ethos-U Vela 5.2, fast storage allocator. Every map made outside a cascade is a candidate; what cannot fit
goes far, what always fits stays, and among the rest the set with the most accesses is sought, twenty at a time.

    time 2k is the k-th pass (all of a cascade share one); odd times are when weights are fetched ahead
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .cascades import Cascade
from .machine import Machine
from .passes import ELEMENTWISE, Pass
from .steps import Step
from .tensors import Tensors

__all__ = ["near_maps"]

_COMPONENT = 20


@dataclass
class _Range:
    """A stretch of time some bytes are needed, and the tensors that share them."""

    start: int
    end: int
    size: int
    names: list[str] = field(default_factory=list)
    score: int = 0


def near_maps(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> tuple[frozenset[str], int]:
    """Names of the maps that are near, rolling buffers included, and the most bytes near at any time."""
    times = _times(steps)
    rolling = {
        tensors.primary(passes[i]): size
        for cascade in cascades
        for i, size in zip(range(cascade.first + 1, cascade.last + 1), cascade.rolling, strict=True)
    }
    candidates = {
        p.output
        for p, step in zip(passes, steps, strict=True)
        if step.cascade < 0 and tensors.readers[p.output] and p.output not in rolling
    }
    ranges = _ranges(passes, tensors, steps, times, candidates)
    length = 2 * len(passes) + 3
    fixed = np.zeros(length, np.int64)
    for name, size in rolling.items():
        t = times[tensors.readers[name][0]]
        fixed[t : t + 2] += size
    for step in steps:
        if step.buffer is not None:
            _add_weights(fixed, step, times[step.number])
    kept = _chosen(machine, ranges, fixed, passes, tensors, steps)
    near = {name for r in kept for name in r.names} | set(rolling)
    near = _without_mixed(passes, tensors, steps, near, set(rolling))
    for r in kept:
        if near & set(r.names):
            fixed[r.start : r.end + 1] += r.size
    return frozenset(near), int(fixed.max())


def _times(steps: Sequence[Step]) -> list[int]:
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


def _add_weights(used: np.ndarray, step: Step, t: int) -> None:
    assert step.buffer is not None
    parts = step.buffer.parts
    last = (len(step.slices) - 2) % len(parts)
    for k, size in enumerate(parts):
        start = max(t - 1, 0) if k == 0 and step.buffer.ahead else t
        used[start : t + (2 if k == last else 1)] += size


def _ranges(
    passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], times: Sequence[int], candidates: set[str]
) -> list[_Range]:
    """Live ranges of the candidates; an elementwise output takes the place of an input nobody else reads."""
    ranges: list[_Range] = []
    of: dict[str, _Range] = {}
    for i, pass_ in enumerate(passes):
        names = [n for n in (*pass_.inputs, *(link.other_name for link in pass_.chain)) if n in candidates]
        if pass_.output in candidates and pass_.output not in of and steps[i].cascade < 0 and _one_to_one(pass_):
            for name in pass_.inputs:
                if (
                    name in candidates and name in of
                    and len(tensors.readers[name]) == 1 and len(tensors.makers[pass_.output]) == 1
                    and tensors.bytes[name] == tensors.bytes[pass_.output]
                ):  # fmt: skip
                    of[pass_.output] = of[name]
                    of[name].names.append(pass_.output)
                    break
        for name in (*names, *([pass_.output] if pass_.output in candidates else [])):
            if name not in of:
                of[name] = _Range(times[i], times[i] + 1, tensors.bytes[name], [name])
                ranges.append(of[name])
            found = of[name]
            found.start, found.end = min(found.start, times[i]), max(found.end, times[i] + 1)
    return ranges


def _one_to_one(pass_: Pass) -> bool:
    return pass_.op in ELEMENTWISE or (
        pass_.kernel == (1, 1) and pass_.op in ("AvgPool", "MaxPool", "Quantize", "MemoryCopy")
    )


def _chosen(
    machine: Machine, ranges: list[_Range], fixed: np.ndarray, passes: Sequence[Pass], tensors: Tensors,
    steps: Sequence[Step],
) -> list[_Range]:  # fmt: skip
    limit = machine.near_bytes
    most = fixed.copy()
    for r in ranges:
        most[r.start : r.end + 1] += r.size
    if most.max() <= limit:
        return ranges
    least = fixed.copy()
    able = []
    for r in ranges:
        if least[r.start : r.end + 1].max() + r.size > limit:
            most[r.start : r.end + 1] -= r.size
        else:
            able.append(r)
    kept, rivals = [], []
    for r in able:
        if most[r.start : r.end + 1].max() <= limit:
            kept.append(r)
            least[r.start : r.end + 1] += r.size
        else:
            rivals.append(r)
    for r in rivals:
        r.score = _accesses(r, passes, tensors, steps, machine.family == "u85")
    begin, end = 0, rivals[0].end if rivals else 0
    for i in range(1, len(rivals) + 1):
        if i < len(rivals) and rivals[i].start <= end and i - begin <= _COMPONENT:
            end = max(end, rivals[i].end)
            continue
        group = rivals[begin:i]
        for r, keep in zip(group, _best(group, least, limit), strict=True):
            if keep:
                kept.append(r)
                least[r.start : r.end + 1] += r.size
        if i < len(rivals):
            begin, end = i, rivals[i].end
    return kept


def _accesses(r: _Range, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], chains: bool) -> int:
    """Elements read and written if the range is used, boundless where a cascade reads it besides its own buffer."""
    total = 0
    for name in r.names:
        for i in tensors.readers[name]:
            if steps[i].reads_rolling_buffer:
                return 2**31 - 1
            inputs = passes[i].inputs
            if inputs and inputs[0] == name:
                total += steps[i].access.ifm
            elif len(inputs) > 1 and inputs[1] == name:
                total += steps[i].access.ifm2
            else:
                total += tensors.bytes[name]
        for i in tensors.makers[name]:
            # the compiler forgets what a chain writes on the U85
            total += 0 if chains and passes[i].chain else steps[i].access.ofm
    return total


def _best(group: Sequence[_Range], least: np.ndarray, limit: int) -> list[bool]:
    """The subset that fits with the highest score; of equals the one that keeps early ranges."""
    low = min(r.start for r in group)
    high = max(r.end for r in group) + 1
    used = least[low:high].copy()
    rest = np.cumsum([0, *(r.score for r in reversed(group))])[::-1]
    best_score, best = -1, [False] * len(group)
    now = [False] * len(group)

    def search(i: int, score: int) -> None:
        nonlocal best_score, best
        if score + rest[i] <= best_score:
            return
        if i == len(group):
            best_score, best = score, list(now)
            return
        r = group[i]
        window = used[r.start - low : r.end + 1 - low]
        if window.max() + r.size <= limit:
            now[i] = True
            window += r.size
            search(i + 1, score + r.score)
            window -= r.size
        now[i] = False
        search(i + 1, score)

    search(0, 0)
    return best


def _without_mixed(
    passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], near: set[str], rolling: set[str]
) -> set[str]:
    """An operation's inputs lie in one memory: where one is far, maps that only elementwise ones read go too."""
    near = set(near)
    for i, pass_ in enumerate(passes):
        if steps[i].reads_rolling_buffer:
            continue
        names = [n for n in (*pass_.inputs, *(link.other_name for link in pass_.chain)) if n]
        if all(n in near for n in names):
            continue
        for name in names:
            if name in near and name not in rolling and all(passes[k].op in ELEMENTWISE for k in tensors.readers[name]):
                near.discard(name)
    return near
