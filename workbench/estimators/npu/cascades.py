"""Runs of passes made stripe by stripe, so that what lies between them never leaves the near memory.

Rules: Ethos-U Vela 5.2, cascade builder. A cascade grows while the map between two passes would not fit near and
the rolling buffers do; then its stripes grow while the buffers fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .buffering import buffered
from .machine import Machine
from .passes import ELEMENTWISE, Pass
from .steps import Step, rows_needed, striped
from .tensors import Tensors

__all__ = ["Cascade", "cascaded"]


@dataclass(frozen=True)
class Cascade:
    """Passes first..last; rolling: bytes of the rolling buffer each pass after the first reads (0: one in place)."""

    first: int
    last: int
    rolling: tuple[int, ...]
    bytes: int


_STRIPED = ELEMENTWISE | {"Conv2D", "DepthwiseConv2D", "AvgPool", "MaxPool", "Quantize", "MemoryCopy"}


def cascaded(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, whole: Sequence[Step]
) -> tuple[list[Step], list[Cascade]]:
    """Steps with cascades where the maps between passes are too large, and the cascades."""
    least = _least_rows(passes)
    rows_in = [rows_needed(p, r) if r < p.ofm.height else p.ifm.height for p, r in zip(passes, least, strict=True)]
    weights = [0] * len(passes)
    found = _build(passes, tensors, least, rows_in, weights, 0, len(passes), machine.near_bytes)
    steps, kept = list(whole), []
    for cascade in found:
        chosen, parts = _widened(machine, passes, tensors, whole, steps, least, cascade)
        for step in chosen:
            steps[step.number] = step
        kept += parts
    return steps, kept


def _least_rows(passes: Sequence[Pass]) -> list[int]:
    """The smallest stripe of every pass: what one step of the pass issued after it takes."""
    rows = [1] * len(passes)
    for i, later in enumerate(passes[1:]):
        rows[i] = min(later.stride[0], passes[i].ofm.height)
    return rows


def _stripable(pass_: Pass, rows: int) -> bool:
    chained = any(link.op in ELEMENTWISE for link in pass_.chain)
    return pass_.op in _STRIPED and not chained and rows < pass_.ofm.height


def _rolling_bytes(producer: Pass, rows: int, user: Pass, rows_in: int) -> int:
    height = -(-(rows + rows_in) // rows_in) * rows_in
    return height * user.ifm.width * -(-producer.ofm.channels // 16) * 16


def _in_place(tensors: Tensors, passes: Sequence[Pass], i: int, rows: int, rows_in: int) -> bool:
    """Whether pass i may write its rolling buffer over the one it reads."""
    pass_ = passes[i]
    alone = pass_.op in ELEMENTWISE or (pass_.op in _STRIPED and pass_.kernel == (1, 1) and "Pool" in pass_.op)
    same = rows == rows_in and pass_.ifm.channels == pass_.ofm.channels
    return alone and same and len(tensors.readers[tensors.primary(pass_)]) == 1


def _build(
    passes: Sequence[Pass], tensors: Tensors, rows: Sequence[int], rows_in: Sequence[int], weights: Sequence[int],
    start: int, stop: int, limit: int,
) -> list[Cascade]:  # fmt: skip
    """Cascades among passes start..stop made in the given stripes; weights: bytes buffered near for each pass."""
    found = []
    i = start
    while i < stop:
        if not _stripable(passes[i], rows[i]):
            i += 1
            continue
        used, best = weights[i], None
        rolling: list[int] = []
        before = 0
        j = i
        while j + 1 < stop and tensors.only_reader(passes[j]) == j + 1:
            user = passes[j + 1]
            linked = tensors.primary(user) == passes[j].output and passes[j].ofm.bricks and user.ifm.bricks
            same = (user.ifm.height, user.ifm.width, user.ifm.channels) == (
                passes[j].ofm.height, passes[j].ofm.width, passes[j].ofm.channels,
            )  # fmt: skip
            if not linked or not same or not _stripable(user, rows[j + 1]) or tensors.shared(passes[j].output):
                break
            size = _rolling_bytes(passes[j], rows[j], user, rows_in[j + 1])
            reused = before == size and _in_place(tensors, passes, j, rows[j], rows_in[j])
            used += weights[j + 1] + (0 if reused else size)
            rolling.append(0 if reused else size)
            before = size
            full_in, full_out = user.ifm.stored_bytes, user.ofm.stored_bytes
            in_place = full_in == full_out and _in_place(tensors, passes, j + 1, 1, 1)
            alone = full_in if in_place else full_in + full_out
            if alone < limit or used > limit:
                break
            best = Cascade(i, j + 1, tuple(rolling), used)
            j += 1
        if best is not None:
            found.append(best)
            i = best.last + 1
        else:
            i += 1
    return found


def _widened(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, whole: Sequence[Step], current: Sequence[Step],
    least: Sequence[int], cascade: Cascade,
) -> tuple[list[Step], list[Cascade]]:  # fmt: skip
    """The cascade with the highest stripes that fit, weights buffered where that pays."""
    first, last, limit = cascade.first, cascade.last, machine.near_bytes
    free = limit - cascade.bytes
    smallest = []
    previous = replace(current[first - 1], slack_bytes=free, slack_cycles=current[first - 1].cycles) if first else None
    used = cascade.bytes
    buffers = []
    for i in range(first, last + 1):
        step = replace(striped(machine, passes[i], i, least[i]), cascade=last, leads=i == first)
        smallest.append(step)
        done = buffered(
            machine, passes[i], step, previous, None, i > first, max(0, limit - used), spills=machine.spills
        )
        used += done.buffer.bytes if done.buffer else 0
        buffers.append(done)
        previous = done
    weights = [0] * len(passes)
    for step in buffers:
        weights[step.number] = step.buffer.bytes if step.buffer and len(step.buffer.parts) == 1 else 0

    chosen: tuple[list[int], list[Cascade]] | None = None
    count = 0
    for height in range(least[last] + 1, (passes[last].ofm.height + 1) // 2 + 1):
        rows, rows_in = list(least), [0] * len(passes)
        want = height
        for i in range(last, first - 1, -1):
            rows[i] = min(want, passes[i].ofm.height)
            rows_in[i] = rows_needed(passes[i], rows[i]) if rows[i] < passes[i].ofm.height else passes[i].ifm.height
            want = rows[i] * passes[i].stride[0]
        parts = _build(passes, tensors, rows, rows_in, weights, first, last + 1, limit)
        count = count or len(parts)
        if len(parts) > count or not _fits(passes, parts, weights, first, last, limit):
            break
        chosen = rows, parts
        if not parts:
            break
    if chosen is None:
        return smallest, [cascade]
    rows, parts = chosen
    steps = []
    for i in range(first, last + 1):
        inside = next((c for c in parts if c.first <= i <= c.last), None)
        if inside is None:
            steps.append(whole[i])
        else:
            step = replace(striped(machine, passes[i], i, rows[i]), cascade=inside.last, leads=i == inside.first)
            steps.append(replace(step, buffer=buffers[i - first].buffer if weights[i] else None))
    return steps, parts


def _fits(
    passes: Sequence[Pass], parts: Sequence[Cascade], weights: Sequence[int], first: int, last: int, limit: int
) -> bool:
    inside = {i for c in parts for i in range(c.first, c.last + 1)}
    alone = [
        weights[i] + passes[i].ifm.stored_bytes + passes[i].ofm.stored_bytes
        + (second.stored_bytes if (second := passes[i].ifm2) else 0)
        for i in range(first, last + 1) if i not in inside
    ]  # fmt: skip
    return max([c.bytes for c in parts] + alone, default=0) <= limit
