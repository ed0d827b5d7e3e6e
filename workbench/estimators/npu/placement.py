"""Which feature maps live in the near memory.

Rules: Ethos-U Vela 5.2, fast storage allocator. Every map made outside a cascade is a candidate; what cannot fit
goes far, what always fits stays, and among the rest the set with the most accesses is sought, twenty at a time.
"""

from collections.abc import Sequence

import numpy as np

from .machine import Machine
from .passes import ELEMENTWISE, Pass
from .ranges import Range, live_ranges, rolling_bytes, times_of, usage, weight_buffers
from .steps import Cascade, Step
from .tensors import Tensors

__all__ = ["near_maps"]

_COMPONENT = 20


def near_maps(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> tuple[frozenset[str], list[int]]:
    """Names of the maps that are near, rolling buffers included, and the bytes near at every time."""
    times = times_of(steps)
    striped = [step.cascaded for step in steps]
    rolling = rolling_bytes(passes, tensors, cascades)
    candidates = {
        p.output
        for p, step in zip(passes, steps, strict=True)
        if not step.cascaded and tensors.readers[p.output] and p.output not in rolling
    }
    ranges = live_ranges(passes, tensors, striped, times, candidates, {})
    staged = live_ranges(passes, tensors, striped, times, set(rolling), rolling)
    fixed = usage([*staged, *weight_buffers(steps, times)], 2 * len(passes) + 3)
    kept = _chosen(machine, ranges, fixed, passes, tensors, steps)
    near = {name for r in kept for name in r.names} | set(rolling)
    near = _without_mixed(passes, tensors, steps, near, set(rolling))
    stay = usage([r for r in kept if not near.isdisjoint(r.names)], len(fixed))
    return frozenset(near), [a + b for a, b in zip(fixed, stay, strict=True)]


def _chosen(
    machine: Machine, ranges: Sequence[Range], fixed: Sequence[int], passes: Sequence[Pass], tensors: Tensors,
    steps: Sequence[Step],
) -> Sequence[Range]:  # fmt: skip
    limit = machine.near_bytes
    # most ranges are two or three times long: lists are faster than arrays
    able = [r for r in ranges if max(fixed[r.start : r.end + 1]) + r.size <= limit]
    most = [a + b for a, b in zip(fixed, usage(able, len(fixed)), strict=True)]
    kept: list[Range] = []
    rivals: list[Range] = []
    for r in able:
        (kept if max(most[r.start : r.end + 1]) <= limit else rivals).append(r)
    if not rivals:
        return kept
    least = np.add(fixed, usage(kept, len(fixed)))
    scores = [_accesses(r, passes, tensors, steps, machine.family == "u85") for r in rivals]
    begin, end = 0, rivals[0].end
    for i in range(1, len(rivals) + 1):
        if i < len(rivals) and rivals[i].start <= end and i - begin <= _COMPONENT:
            end = max(end, rivals[i].end)
            continue
        group = rivals[begin:i]
        for r, keep in zip(group, _best(group, scores[begin:i], least, limit), strict=True):
            if keep:
                kept.append(r)
                least[r.start : r.end + 1] += r.size
        if i < len(rivals):
            begin, end = i, rivals[i].end
    return kept


def _accesses(r: Range, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], chains: bool) -> int:
    """Elements read and written if the range is used, boundless where a cascade reads it besides its own buffer."""
    total = 0
    for name in r.names:
        for i in tensors.readers[name]:
            if steps[i].reads_rolling_buffer:
                return 2**31 - 1
            inputs = passes[i].inputs
            if inputs and inputs[0] == name:
                twice = len(inputs) == 1 and passes[i].ifm2 is not None  # both inputs are this one
                total += steps[i].access.ifm * (2 if twice else 1)
            elif len(inputs) > 1 and inputs[1] == name:
                total += steps[i].access.ifm2
            else:
                total += tensors.bytes[name]
        for i in tensors.makers[name]:
            # the compiler forgets what a chain writes on the U85
            total += 0 if chains and passes[i].chain else steps[i].access.ofm
    return total


def _best(group: Sequence[Range], scores: Sequence[int], least: np.ndarray, limit: int) -> list[bool]:
    """The subset that fits with the highest score; of equals the one that keeps early ranges."""
    low = min(r.start for r in group)
    high = max(r.end for r in group) + 1
    used = least[low:high].copy()
    rest = np.cumsum([0, *reversed(scores)])[::-1]
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
            search(i + 1, score + scores[i])
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
    for names, step in zip(tensors.read, steps, strict=True):
        if near.issuperset(names) or step.reads_rolling_buffer:
            continue
        for name in names:
            if name in near and name not in rolling and all(passes[k].op in ELEMENTWISE for k in tensors.readers[name]):
                near.discard(name)
    return near
