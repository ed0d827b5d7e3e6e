"""Runs of passes made stripe by stripe, so that what lies between them never takes its whole size near.

Rules: Ethos-U Vela 5.2, cascade builder. Where maps can be far, a cascade grows while the map between two passes would
not fit near and the rolling buffers do. Where they cannot, it grows while it takes less than its passes on their own
and these take more than the budget. Then its stripes grow while the buffers fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from .buffering import buffered
from .machine import Machine
from .passes import Pass, Work, up
from .ranges import Range, live_ranges, rolling_bytes, times_of, usage
from .steps import Cascade, Slack, Step, cascaded_step, rows_needed
from .tensors import Tensors

__all__ = ["Joints", "cascaded", "near_ranges", "near_usage", "widened"]


@dataclass(frozen=True)
class _Lives:
    """Where and when maps live that cannot be far: live ranges by tensor, when every pass runs, the maps each goes
    through and makes, and bytes by tensor.
    """

    ranges: Mapping[str, Range]
    times: Sequence[int]
    read: Sequence[str]
    made: Sequence[str]
    bytes: Mapping[str, int]


@dataclass(frozen=True)
class _Needs:
    """Near memory that passes need: beside[i] by what lives meanwhile, own[i] by the pass itself, in bytes.

    lives: None where maps can be far, so that none of them needs any.
    """

    beside: Sequence[int]
    own: Sequence[int]
    lives: _Lives | None = None

    def alone(self, i: int) -> int:
        """Bytes of pass i outside a cascade."""
        return self.own[i] + self.beside[i]

    def part(self, first: int, last: int, beside: Sequence[int]) -> "_Needs":
        """Those of passes first..last, numbered from 0."""
        stop, lives = last + 1, self.lives
        if lives is not None:
            names = lives.read[first:stop], lives.made[first:stop]
            lives = _Lives(lives.ranges, lives.times[first:stop], *names, lives.bytes)
        return _Needs(beside, self.own[first:stop], lives)


@dataclass(frozen=True)
class Joints:
    """What of passes and those that follow them does not depend on stripes, by number.

    follows: whether the next one can read it stripe by stripe. in_place: whether it may write its rolling buffer over
    the one it reads.
    """

    works: tuple[Work, ...]
    follows: tuple[bool, ...]
    in_place: tuple[bool, ...]

    @classmethod
    def of(cls, passes: Sequence[Pass], tensors: Tensors) -> Self:
        works = tuple([pass_.work for pass_ in passes])
        readers = tensors.readers
        follows, in_place = [], []
        for i, (pass_, work) in enumerate(zip(passes, works, strict=True)):
            in_place.append(work.may_overwrite and len(readers.get(tensors.primary(pass_), ())) == 1)
            joined = i + 1 < len(works) and works[i + 1].stripable and readers[pass_.output] == [i + 1]
            follows.append(joined and _linked(tensors, pass_, passes[i + 1]))
        return cls(works, tuple(follows), tuple(in_place))

    def part(self, first: int, last: int) -> "Joints":
        """Those of passes first..last, numbered from 0."""
        stop = last + 1
        return Joints(self.works[first:stop], self.follows[first:stop], self.in_place[first:stop])

    def rolling(self, i: int, rows: Sequence[int], rows_in: Sequence[int]) -> int:
        """Bytes of the rolling buffer between pass i and the next."""
        read = rows_in[i + 1]
        line = self.works[i + 1].ifm.width * up(self.works[i].ofm.channels, 16)
        return -(-(rows[i] + read) // read) * read * line

    def alone(self, i: int) -> int:
        """Bytes of what pass i reads and makes, whole."""
        come, leave = self.works[i].ifm_bytes, self.works[i].ofm_bytes
        return come if self.in_place[i] and come == leave else come + leave


def near_usage(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> list[int]:
    """Bytes of maps and rolling buffers near at every time (see `ranges`); maps that may be far are left out."""
    return usage(near_ranges(machine, passes, tensors, steps, cascades, times_of(steps)), 2 * len(passes) + 3)


def near_ranges(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade],
    times: Sequence[int],
) -> list[Range]:  # fmt: skip
    """When maps and rolling buffers are near; maps that may be far are left out."""
    rolling = rolling_bytes(passes, tensors, cascades)
    names = set(rolling) if machine.spills else set(tensors.bytes)
    if not names:
        return []
    striped = [step.cascaded for step in steps]
    return live_ranges(passes, tensors, striped, times, names, rolling)


def cascaded(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, joints: Joints, whole: Sequence[Step], limit: int
) -> tuple[list[Step], list[Cascade]]:
    """Steps with cascades of the smallest stripes where the maps between passes take more than `limit` bytes."""
    least = _least_rows(joints.works)
    rows_in = [_rows_read(work, rows) for work, rows in zip(joints.works, least, strict=True)]
    needs = _needs(machine, passes, tensors, whole, [])
    found = _build(joints, least, rows_in, [0] * len(passes), limit, needs)
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
    times = times_of(steps)
    needs = _needs(machine, passes, tensors, steps, cascades)
    done, kept = list(steps), []
    for cascade in cascades:
        first = cascade.first
        now, before, stays = used[times[first]], None, 0
        if first:
            before = Slack(steps[first - 1].cycles, limit - used[times[first - 1]])
        if not machine.spills and len(tensors.readers.get(tensors.primary(passes[first]), ())) > 1:
            stays = tensors.bytes[tensors.primary(passes[first])]
        chosen, parts = _widened(machine, joints, whole, steps, cascade, now, before, stays, needs, limit)
        done[first : cascade.last + 1] = chosen
        kept += parts
    return done, kept


def _needs(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> _Needs:
    if machine.spills:
        return _Needs([0] * len(passes), [0] * len(passes))
    times = times_of(steps)
    ranges = near_ranges(machine, passes, tensors, steps, cascades, times)
    used = usage(ranges, 2 * len(passes) + 3)
    of = {name: r for r in ranges for name in r.names}
    read = [tensors.primary(pass_) for pass_ in passes]
    own = []
    for pass_, step, ifm in zip(passes, steps, read, strict=True):
        shared = not step.cascaded and ifm in of and of[ifm] is of[pass_.output]
        own.append(tensors.bytes.get(ifm, 0) + (0 if shared else tensors.bytes[pass_.output]))
    beside = [used[t] - n for t, n in zip(times, own, strict=True)]
    return _Needs(beside, own, _Lives(of, times, read, [pass_.output for pass_ in passes], tensors.bytes))


def _least_rows(works: Sequence[Work]) -> list[int]:
    """The smallest stripe of every pass: what one step of the pass issued after it takes."""
    rows = [1] * len(works)
    for i, later in enumerate(works[1:]):
        rows[i] = min(later.stride[0], works[i].ofm.height)
    return rows


def _rows_read(work: Work, rows: int) -> int:
    return rows_needed(work, rows) if rows < work.ofm.height else work.ifm.height


def _linked(tensors: Tensors, one: Pass, user: Pass) -> bool:
    """Whether the next pass goes through the very map that a pass makes."""
    if tensors.primary(user) != one.output or tensors.shared(one.output):
        return False
    return one.ofm.bricks and user.ifm.bricks and user.ifm[:3] == one.ofm[:3]


def _build(
    joints: Joints, rows: Sequence[int], rows_in: Sequence[int], weights: Sequence[int], limit: int, needs: _Needs
) -> list[Cascade]:
    """Cascades among passes made in the given stripes; weights: bytes buffered near for each pass."""
    found = []
    peak = min(limit, 1 << 30)
    works, i = joints.works, 0
    while i < len(works):
        best = None
        if joints.follows[i] and rows[i] < works[i].ofm.height and works[i].stripable:
            best = _longest(joints, rows, rows_in, weights, i, peak, needs)
        if needs.lives is not None:
            peak = max(peak, best.bytes if best is not None else needs.alone(i))
        if best is not None:
            found.append(best)
        i = best.last + 1 if best is not None else i + 1
    return found


def _longest(
    joints: Joints, rows: Sequence[int], rows_in: Sequence[int], weights: Sequence[int], i: int, peak: int,
    needs: _Needs,
) -> Cascade | None:  # fmt: skip
    """The best cascade that begins with pass i, or None."""
    used, best, works = weights[i], None, joints.works
    least = needs.alone(i)
    lives = needs.lives
    given = 0 if lives is None else lives.bytes.get(lives.read[i], 0)
    beside = None if lives is None else _Beside(needs, lives, i)
    rolling: list[int] = []
    before = 0
    j = i
    while j + 1 < len(works) and joints.follows[j] and rows[j + 1] < works[j + 1].ofm.height:
        size = joints.rolling(j, rows, rows_in)
        reused = before == size and joints.in_place[j] and rows[j] == rows_in[j]
        used += weights[j + 1] + (0 if reused else size)
        rolling.append(0 if reused else size)
        before = size
        if lives is None or beside is None:
            if joints.alone(j + 1) < peak or used > peak:
                break
            best = Cascade(i, j + 1, tuple(rolling), used, used)
        else:
            most = beside.with_(j + 1)
            own = given + used + lives.bytes[lives.made[j + 1]]
            if own + most < max(least, needs.alone(j + 1)):
                least = own + most
                best = Cascade(i, j + 1, tuple(rolling), own + most, own)
            if (needs.alone(j + 1) < peak and least < peak) or given + most + used > least:
                break
        j += 1
    return best


class _Beside:
    """The most bytes that live beside a cascade while it grows; what its first pass reads is counted once."""

    def __init__(self, needs: _Needs, lives: _Lives, first: int) -> None:
        self.needs, self.lives = needs, lives
        self.range = lives.ranges.get(lives.read[first])
        self.first = max(0, needs.beside[first])
        self.within = self.outside = 0

    def with_(self, i: int) -> int:
        bytes_ = max(0, self.needs.beside[i])
        found, lives = self.range, self.lives
        if found is not None and found.start <= lives.times[i] <= found.end:
            counted = any(lives.ranges.get(name) is found for name in lives.made[i - 1 : i + 1])
            self.within = max(self.within, bytes_ if counted else max(0, bytes_ - found.size))
        else:
            self.outside = max(self.outside, bytes_)
        return max(self.outside, self.first, self.within)


def _widened(
    machine: Machine, joints: Joints, whole: Sequence[Step], current: Sequence[Step], cascade: Cascade, now: int,
    before: Slack | None, stays: int, needs: _Needs, limit: int,
) -> tuple[list[Step], list[Cascade]]:  # fmt: skip
    """The cascade with the highest stripes that fit, weights buffered where that pays.

    now: bytes near while it runs. before: what the step before it leaves. stays: bytes of what it reads, if others do.
    """
    first, last = cascade.first, cascade.last
    mine = joints.part(first, last)
    smallest, whole = current[first : last + 1], whole[first : last + 1]
    used, buffers = now, []
    for i, work in enumerate(mine.works):
        done = buffered(machine, work, smallest[i], before, None, machine.spills and i > 0, max(0, limit - used))
        used += done.buffer.bytes if done.buffer else 0
        buffers.append(done.buffer)
        before = done.slack
    weights = tuple([buffer.bytes if buffer and len(buffer.parts) == 1 else 0 for buffer in buffers])
    least = tuple([step.rows for step in smallest])
    beside = max(0, now - cascade.own_bytes)
    if needs.lives is None:
        chosen = _highest_if_far(mine, least, weights, beside, limit)
    else:
        inside = needs.part(first, last, [beside, *[beside + stays] * (last - first)])
        chosen = _highest(mine, least, weights, limit, inside)
    if chosen is None:
        return list(smallest), [cascade]
    rows, parts = chosen
    steps = list(whole)
    for part in parts:
        for i in range(part.first, part.last + 1):
            step = cascaded_step(machine, mine.works[i], rows[i], i == part.first)
            steps[i] = replace(step, buffer=buffers[i]) if weights[i] else step
    return steps, [replace(part, first=part.first + first, last=part.last + first) for part in parts]


@lru_cache(maxsize=1 << 14)
def _highest_if_far(
    joints: Joints, least: tuple[int, ...], weights: tuple[int, ...], beside: int, limit: int
) -> tuple[tuple[int, ...], tuple[Cascade, ...]] | None:
    """`_highest` where maps can be far: it depends on nothing but the passes themselves, and most are asked again."""
    count = len(least)
    return _highest(joints, least, weights, limit, _Needs([beside] * count, [0] * count))


def _highest(
    joints: Joints, least: Sequence[int], weights: Sequence[int], limit: int, needs: _Needs
) -> tuple[tuple[int, ...], tuple[Cascade, ...]] | None:
    """Rows of the highest stripes that fit, and the cascades then; least: those of the smallest stripes."""
    works, rows = joints.works, list(least)
    chosen: tuple[tuple[int, ...], tuple[Cascade, ...]] | None = None
    count = 0
    rows_in = [0] * len(works)
    for height in range(least[-1] + 1, (works[-1].ofm.height + 1) // 2 + 1):
        want = height
        for i in range(len(works) - 1, -1, -1):
            rows[i] = min(want, works[i].ofm.height)
            rows_in[i] = _rows_read(works[i], rows[i])
            want = rows[i] * works[i].stride[0]
        parts = _build(joints, rows, rows_in, weights, limit, needs)
        count = count or len(parts)
        if len(parts) > count or not _fits(works, parts, weights, limit, needs):
            break
        chosen = tuple(rows), tuple(parts)
        if not parts:
            break
    return chosen


def _fits(works: Sequence[Work], parts: Sequence[Cascade], weights: Sequence[int], limit: int, needs: _Needs) -> bool:
    """Whether all cascades and the passes outside of them do."""
    if any(part.bytes > limit for part in parts):
        return False
    inside = {i for part in parts for i in range(part.first, part.last + 1)}
    return all(
        weights[i] + work.ifm_bytes + work.ofm_bytes + work.ifm2_bytes + needs.beside[i] <= limit
        for i, work in enumerate(works) if i not in inside
    )  # fmt: skip
