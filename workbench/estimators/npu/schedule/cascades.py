"""Cascades: passes that run stripe by stripe, so that the feature maps between them are never whole in near memory.

Rules: Ethos-U Vela 5.2, cascade builder. Where feature maps may be far, a cascade grows while the feature map between
two passes would not fit near and the rolling buffers do. Where they cannot, it grows while it takes less than its
passes outside of it and these take more than the budget.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..passes import PassSpec
from .junctions import Junctions
from .near_memory import NearMemory, PeakBeside, near_memory
from .pass_schedule import cascaded_schedule, rows_read
from .program import Program
from .striping import Cascade, Striping

__all__ = ["Stripes", "build_cascades", "with_cascades"]

_UNLIMITED = 1 << 30


class Stripes(NamedTuple):
    """Rows of the stripe every pass makes and reads, and the bytes of weights that are copied near for it."""

    rows: Sequence[int]
    rows_in: Sequence[int]
    buffer_bytes: Sequence[int]


def with_cascades(program: Program, junctions: Junctions, whole: Striping, limit: int) -> Striping:
    """Cascades of the smallest stripes where passes outside of them take more than `limit` bytes; whole: all passes in
    one stripe.
    """
    rows = _smallest_rows(junctions.specs)
    # what nothing is joined to reads no rolling buffer
    joined = (False, *junctions.joins[:-1])
    rows_in = [rows_read(spec, n) if after else 0 for spec, n, after in zip(junctions.specs, rows, joined, strict=True)]
    stripes = Stripes(rows, rows_in, [0] * len(rows))
    cascades = build_cascades(junctions, stripes, limit, near_memory(program, whole))
    schedules = list(whole.schedules)
    for cascade in cascades:
        for i in range(cascade.first, cascade.last + 1):
            near_ifm = whole.schedules[i].near_ifm
            schedules[i] = cascaded_schedule(program.machine, junctions.specs[i], rows[i], i == cascade.first, near_ifm)
    return Striping(schedules, cascades)


def _smallest_rows(specs: Sequence[PassSpec]) -> list[int]:
    """Rows of the smallest stripe of every pass: what one row of the next pass needs anew."""
    rows = [1] * len(specs)
    for i, after in enumerate(specs[1:]):
        rows[i] = min(after.stride[0], specs[i].ofm.height)
    return rows


def build_cascades(junctions: Junctions, stripes: Stripes, limit: int, memory: NearMemory) -> list[Cascade]:
    """Cascades among passes that run in the given stripes."""
    cascades = []
    peak = min(limit, _UNLIMITED)
    specs, rows, i = junctions.specs, stripes.rows, 0
    while i < len(specs):
        cascade = None
        if junctions.joins[i] and rows[i] < specs[i].ofm.height and specs[i].stripable:
            cascade = _best_cascade(junctions, stripes, i, peak, memory)
        if memory.lifetimes is not None:
            peak = max(peak, cascade.bytes if cascade is not None else memory.total(i))
        if cascade is not None:
            cascades.append(cascade)
        i = cascade.last + 1 if cascade is not None else i + 1
    return cascades


def _best_cascade(junctions: Junctions, stripes: Stripes, first: int, peak: int, memory: NearMemory) -> Cascade | None:
    """The best cascade that begins with pass `first`; None where none is better than its passes outside of one."""
    rows, rows_in, buffer_bytes = stripes
    specs, lifetimes = junctions.specs, memory.lifetimes
    used, best = buffer_bytes[first], None
    least = memory.total(first)
    input_bytes = 0 if lifetimes is None else lifetimes.bytes.get(lifetimes.inputs[first], 0)
    peak_beside = None if lifetimes is None else PeakBeside(memory, lifetimes, first)
    rolling: list[int] = []
    previous_size, last = 0, first
    while last + 1 < len(specs) and junctions.joins[last] and rows[last + 1] < specs[last + 1].ofm.height:
        size = junctions.rolling_bytes(last, rows, rows_in)
        reused = previous_size == size and junctions.in_place[last] and rows[last] == rows_in[last]
        rolling.append(0 if reused else size)
        used += buffer_bytes[last + 1] + rolling[-1]
        previous_size = size
        last += 1
        if lifetimes is None or peak_beside is None:
            if junctions.whole_bytes(last) < peak or used > peak:
                break
            best = Cascade(first, last, tuple(rolling), used, used)
        else:
            beside = peak_beside.grow(last)
            own = input_bytes + used + lifetimes.bytes[lifetimes.outputs[last]]
            if own + beside < max(least, memory.total(last)):
                least = own + beside
                best = Cascade(first, last, tuple(rolling), own + beside, own)
            if (memory.total(last) < peak and least < peak) or input_bytes + beside + used > least:
                break
    return best
