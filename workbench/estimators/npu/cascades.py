"""Runs of passes made stripe by stripe, so that what lies between them never takes its whole size near.

Rules: Ethos-U Vela 5.2, cascade builder. Where maps can be far, a cascade grows while the map between two passes would
not fit near and the rolling buffers do. Where they cannot, it grows while it takes less than its passes on their own
and these take more than the budget. Then its stripes grow while the buffers fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np

from .buffering import buffered
from .machine import Machine
from .passes import ELEMENTWISE, Pass, Work, up
from .ranges import Range, live_ranges, rolling_bytes, times_of, usage
from .steps import Cascade, Slack, Step, cascaded_step, rows_needed
from .tensors import Tensors

__all__ = ["Joints", "cascaded", "near_usage", "widened"]


@dataclass(frozen=True)
class _Needs:
    """Near memory that passes need: beside[i] by what lives meanwhile, own[i] by the pass itself, in bytes.

    ranges: live ranges by tensor. times: when every pass runs.
    """

    beside: Sequence[int]
    own: Sequence[int]
    ranges: Mapping[str, Range]
    times: Sequence[int]

    def alone(self, i: int) -> int:
        """Bytes of pass i outside a cascade."""
        return self.own[i] + self.beside[i]


@dataclass(frozen=True)
class Joints:
    """What of passes and those that follow them does not depend on stripes, by number.

    height: rows made. stripable: whether it can be made in stripes. follows: whether the next one can read it stripe by
    stripe. line: bytes of a row of the rolling buffer between. in_place: whether it may write its rolling buffer over
    the one it reads. alone: bytes of what it reads and makes, whole.
    """

    height: list[int]
    stripable: list[bool]
    follows: list[bool]
    line: list[int]
    in_place: list[bool]
    alone: list[int]

    @classmethod
    def of(cls, passes: Sequence[Pass], tensors: Tensors) -> Self:
        stripable = [_stripable(pass_.work) for pass_ in passes]
        in_place = [_in_place(tensors, pass_) for pass_ in passes]
        alone = []
        for pass_, place in zip(passes, in_place, strict=True):
            full_in, full_out = pass_.ifm.stored_bytes, pass_.ofm.stored_bytes
            alone.append(full_in if place and full_in == full_out else full_in + full_out)
        follows, line = [], []
        for i, (one, user) in enumerate(pairwise(passes)):
            follows.append(stripable[i + 1] and tensors.only_reader(one) == i + 1 and _linked(tensors, one, user))
            line.append(user.ifm.width * up(one.ofm.channels, 16))
        return cls([p.ofm.height for p in passes], stripable, [*follows, False], line, in_place, alone)

    def rolling(self, i: int, rows: Sequence[int], rows_in: Sequence[int]) -> int:
        """Bytes of the rolling buffer between pass i and the next."""
        read = rows_in[i + 1]
        return -(-(rows[i] + read) // read) * read * self.line[i]


_STRIPED = ELEMENTWISE | {"Conv2D", "DepthwiseConv2D", "AvgPool", "MaxPool", "Quantize", "MemoryCopy"}


def near_usage(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> np.ndarray:
    """Bytes of maps and rolling buffers near at every time (see `ranges`); maps that may be far are left out."""
    return usage(list(_near_ranges(machine, passes, tensors, steps, cascades)), 2 * len(passes) + 3)


def _near_ranges(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> list[Range]:
    rolling = rolling_bytes(passes, tensors, cascades)
    names = set(rolling) if machine.spills else set(tensors.bytes)
    striped = [step.cascaded for step in steps]
    return live_ranges(passes, tensors, striped, times_of(steps), names, rolling)


def cascaded(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, whole: Sequence[Step], limit: int
) -> tuple[list[Step], list[Cascade]]:
    """Steps with cascades of the smallest stripes where the maps between passes take more than `limit` bytes."""
    least = _least_rows(passes)
    rows_in = [rows_needed(p.work, r) if r < p.ofm.height else p.ifm.height for p, r in zip(passes, least, strict=True)]
    needs = _needs(machine, passes, tensors, whole, [])
    none = [0] * len(passes)
    found = _build(machine, passes, tensors, joints, least, rows_in, none, 0, len(passes), limit, needs)
    steps = list(whole)
    for cascade in found:
        for i in range(cascade.first, cascade.last + 1):
            steps[i] = cascaded_step(machine, passes[i].work, least[i], i == cascade.first)
    return steps, found


def widened(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, whole: Sequence[Step],
    steps: Sequence[Step], cascades: Sequence[Cascade], limit: int,
) -> tuple[list[Step], list[Cascade]]:  # fmt: skip
    """The same with the highest stripes that fit, weights buffered where that pays."""
    if not cascades:
        return list(steps), []
    used = near_usage(machine, passes, tensors, steps, cascades)
    needs = _needs(machine, passes, tensors, steps, cascades)
    done, kept = list(steps), []
    for cascade in cascades:
        chosen, parts = _widened(machine, passes, tensors, joints, whole, steps, cascade, used, needs, limit)
        done[cascade.first : cascade.last + 1] = chosen
        kept += parts
    return done, kept


def _needs(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> _Needs:
    times = times_of(steps)
    if machine.spills:
        return _Needs([0] * len(passes), [0] * len(passes), {}, times)
    ranges = _near_ranges(machine, passes, tensors, steps, cascades)
    used = usage(ranges, 2 * len(passes) + 3)
    of = {name: r for r in ranges for name in r.names}
    own = []
    for pass_, step in zip(passes, steps, strict=True):
        ifm = tensors.primary(pass_)
        shared = not step.cascaded and ifm in of and of[ifm] is of[pass_.output]
        own.append(tensors.bytes.get(ifm, 0) + (0 if shared else tensors.bytes[pass_.output]))
    return _Needs([int(used[t]) - n for t, n in zip(times, own, strict=True)], own, of, times)


def _least_rows(passes: Sequence[Pass]) -> list[int]:
    """The smallest stripe of every pass: what one step of the pass issued after it takes."""
    rows = [1] * len(passes)
    for i, later in enumerate(passes[1:]):
        rows[i] = min(later.stride[0], passes[i].ofm.height)
    return rows


def _stripable(work: Work) -> bool:
    chained = any(link.op in ELEMENTWISE for link in work.chain)
    return work.op in _STRIPED and not chained and work.turn is None


def _linked(tensors: Tensors, one: Pass, user: Pass) -> bool:
    """Whether the next pass goes through the very map that a pass makes."""
    if tensors.primary(user) != one.output or tensors.shared(one.output):
        return False
    return one.ofm.bricks and user.ifm.bricks and user.ifm[:3] == one.ofm[:3]


def _in_place(tensors: Tensors, pass_: Pass) -> bool:
    """Whether a pass that reads as many rows as it makes may write its rolling buffer over the one it reads."""
    alone = pass_.op in ELEMENTWISE or (pass_.op in _STRIPED and pass_.kernel == (1, 1) and "Pool" in pass_.op)
    return (
        alone and pass_.ifm.channels == pass_.ofm.channels and len(tensors.readers.get(tensors.primary(pass_), ())) == 1
    )


def _build(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, rows: Sequence[int],
    rows_in: Sequence[int], weights: Sequence[int], start: int, stop: int, limit: int, needs: _Needs,
) -> list[Cascade]:  # fmt: skip
    """Cascades among passes start..stop made in the given stripes; weights: bytes buffered near for each pass."""
    found = []
    peak = min(limit, 1 << 30)
    i = start
    while i < stop:
        best = None
        if joints.follows[i] and joints.stripable[i] and rows[i] < joints.height[i]:
            best = _longest(machine, passes, tensors, joints, rows, rows_in, weights, i, stop, peak, needs)
        if not machine.spills:
            peak = max(peak, best.bytes if best is not None else needs.alone(i))
        if best is not None:
            found.append(best)
        i = best.last + 1 if best is not None else i + 1
    return found


def _longest(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, rows: Sequence[int],
    rows_in: Sequence[int], weights: Sequence[int], i: int, stop: int, peak: int, needs: _Needs,
) -> Cascade | None:  # fmt: skip
    """The best cascade that begins with pass i, or None."""
    used, best = weights[i], None
    least = needs.alone(i)
    given = 0 if machine.spills else tensors.bytes.get(tensors.primary(passes[i]), 0)
    beside = None if machine.spills else _Beside(needs, tensors.primary(passes[i]), i)
    rolling: list[int] = []
    before = 0
    j = i
    while j + 1 < stop and joints.follows[j] and rows[j + 1] < joints.height[j + 1]:
        size = joints.rolling(j, rows, rows_in)
        reused = before == size and joints.in_place[j] and rows[j] == rows_in[j]
        used += weights[j + 1] + (0 if reused else size)
        rolling.append(0 if reused else size)
        before = size
        if beside is None:
            if joints.alone[j + 1] < peak or used > peak:
                break
            best = Cascade(i, j + 1, tuple(rolling), used, used)
        else:
            output = passes[j + 1].output
            most = beside.with_(j + 1, (passes[j].output, output))
            own = given + used + tensors.bytes[output]
            if own + most < max(least, needs.alone(j + 1)):
                least = own + most
                best = Cascade(i, j + 1, tuple(rolling), own + most, own)
            if (needs.alone(j + 1) < peak and least < peak) or given + most + used > least:
                break
        j += 1
    return best


class _Beside:
    """The most bytes that live beside a cascade while it grows; what its first pass reads is counted once."""

    def __init__(self, needs: _Needs, ifm: str, first: int) -> None:
        self.needs = needs
        self.range = needs.ranges.get(ifm)
        self.first = max(0, needs.beside[first])
        self.within = self.outside = 0

    def with_(self, i: int, maps: tuple[str, str]) -> int:
        bytes_ = max(0, self.needs.beside[i])
        found = self.range
        if found is not None and found.start <= self.needs.times[i] <= found.end:
            counted = any(self.needs.ranges.get(name) is found for name in maps)
            self.within = max(self.within, bytes_ if counted else max(0, bytes_ - found.size))
        else:
            self.outside = max(self.outside, bytes_)
        return max(self.outside, self.first, self.within)


def _widened(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, whole: Sequence[Step],
    current: Sequence[Step], cascade: Cascade, used_near: np.ndarray, needs: _Needs, limit: int,
) -> tuple[list[Step], list[Cascade]]:  # fmt: skip
    """The cascade with the highest stripes that fit, weights buffered where that pays."""
    first, last = cascade.first, cascade.last
    now = int(used_near[needs.times[first]])
    beside = max(0, now - cascade.own_bytes)
    stays = 0
    if not machine.spills and len(tensors.readers.get(tensors.primary(passes[first]), ())) > 1:
        stays = tensors.bytes[tensors.primary(passes[first])]
    inside_needs = replace(
        needs, beside=[beside if i == first else beside + stays if first < i <= last else 0 for i in range(len(passes))]
    )
    before = None
    if first:
        before = Slack(current[first - 1].cycles, limit - int(used_near[needs.times[first - 1]]))
    smallest = [current[i] for i in range(first, last + 1)]
    used = now
    buffers = []
    for i in range(first, last + 1):
        done = buffered(
            machine, passes[i].work, current[i], before, None, machine.spills and i > first, max(0, limit - used)
        )
        used += done.buffer.bytes if done.buffer else 0
        buffers.append(done)
        before = done.slack
    weights = [0] * len(passes)
    for i, step in enumerate(buffers, first):
        weights[i] = step.buffer.bytes if step.buffer and len(step.buffer.parts) == 1 else 0

    least = [step.rows for step in current]
    chosen: tuple[list[int], list[Cascade]] | None = None
    count = 0
    rows, rows_in = list(least), [0] * len(passes)
    for height in range(current[last].rows + 1, (passes[last].ofm.height + 1) // 2 + 1):
        want = height
        for i in range(last, first - 1, -1):
            rows[i] = min(want, passes[i].ofm.height)
            rows_in[i] = (
                rows_needed(passes[i].work, rows[i]) if rows[i] < passes[i].ofm.height else passes[i].ifm.height
            )
            want = rows[i] * passes[i].stride[0]
        parts = _build(machine, passes, tensors, joints, rows, rows_in, weights, first, last + 1, limit, inside_needs)
        count = count or len(parts)
        if len(parts) > count or not _fits(passes, parts, weights, first, last, limit, inside_needs):
            break
        chosen = rows[first : last + 1], parts
        if not parts:
            break
    if chosen is None:
        return smallest, [cascade]
    chosen_rows, parts = chosen
    steps = []
    for i in range(first, last + 1):
        inside = next((c for c in parts if c.first <= i <= c.last), None)
        if inside is None:
            steps.append(whole[i])
        else:
            step = cascaded_step(machine, passes[i].work, chosen_rows[i - first], i == inside.first)
            steps.append(replace(step, buffer=buffers[i - first].buffer) if weights[i] else step)
    return steps, parts


def _fits(
    passes: Sequence[Pass], parts: Sequence[Cascade], weights: Sequence[int], first: int, last: int, limit: int,
    needs: _Needs,
) -> bool:  # fmt: skip
    inside = {i for c in parts for i in range(c.first, c.last + 1)}
    alone = [
        weights[i] + passes[i].ifm.stored_bytes + passes[i].ofm.stored_bytes
        + (second.stored_bytes if (second := passes[i].ifm2) else 0) + needs.beside[i]
        for i in range(first, last + 1) if i not in inside
    ]  # fmt: skip
    return max([c.bytes for c in parts] + alone, default=0) <= limit
