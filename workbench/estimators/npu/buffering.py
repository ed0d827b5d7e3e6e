"""Which weights are copied near before use, whole or slice by slice.

Rules: Ethos-U Vela 5.2, weight buffering of the scheduler. A pass's weights may be copied while the pass before
it computes (its slack); a copy in slices lets the next slice arrive while one computes.
"""

from dataclasses import replace
from functools import lru_cache
from math import floor

from .cycles import compute_cycles, mem_to_mem_cycles, read_cycles
from .machine import Machine
from .passes import Work, up
from .steps import Buffer, Run, Slack, Step, run_of, weight_ranges

__all__ = ["buffered"]

SPLIT = 16  # output channels the weights can be cut at
STARTUP_CYCLES = 1000  # a wait shorter than this is noise


def _down(n: int, m: int) -> int:
    return n // m * m


@lru_cache(maxsize=1 << 17)
def buffered(
    machine: Machine, work: Work, step: Step, before: Slack | None, user: Run | None, made_by_pass: bool,
    near_bytes_left: int, shares: bool = False,
) -> Step:  # fmt: skip
    """The step with the weight buffer that pays, or without.

    before: what the step before, already decided, leaves. user: the run of the first pass that reads the output.
    made_by_pass: whether the input is another pass's output. shares: whether the pass before has the same weights.
    near_bytes_left: what a buffer may take.
    """
    step = replace(step, slack_bytes=near_bytes_left, slack_cycles=step.cycles, buffer=None)
    if not work.weight_bytes or machine.constants == machine.near:
        return step
    depth = work.outputs
    total = sum(weight_ranges(machine, work, step.block, (0, depth)))
    transfer = mem_to_mem_cycles(machine, machine.near, machine.constants, total)
    step = replace(step, slices=(0, depth), transfer_cycles=transfer)
    stripes = -(-work.ofm.height // step.rows) if step.cascaded else 1
    refetches = step.access.refetches * stripes
    unmoved = read_cycles(machine, machine.constants, total, "weights") * refetches
    moved = read_cycles(machine, machine.near, total, "weights") * refetches
    if moved >= unmoved:
        return step

    slack = before.cycles if before else 0
    slack_bytes = before.bytes if before else near_bytes_left
    smallest = int(transfer * min(depth, SPLIT) / depth)
    ahead_allowed = before is not None and (not step.cascaded or step.leads)
    at_start = before is None and refetches > 1 and (smallest < unmoved // 10 or smallest <= STARTUP_CYCLES)
    assert step.run is not None
    compute_bound = step.run.cycles > unmoved
    seen = max(transfer - slack, 0)
    pays = moved + seen < unmoved
    can_slice = not step.cascaded and not work.turns_channels
    slices: tuple[int, ...] = (0, depth)
    forced = shares and total <= near_bytes_left and (pays or not compute_bound)
    if not forced and can_slice:
        hidden = ahead_allowed and smallest < slack and refetches > 1
        if not (at_start or pays or depth // step.block.ofm[2] > 2 or hidden):
            return step
        found = _slices(machine, work, step, depth, total, transfer, slack, near_bytes_left, compute_bound)
        if found is None:
            return step
        slices = found
    elif not forced:
        hidden = seen < transfer // 20 or -(-seen // stripes) < STARTUP_CYCLES
        if total > near_bytes_left or not (hidden or at_start) or not (pays or not compute_bound):
            return step

    ranges = weight_ranges(machine, work, step.block, slices)
    parts = _parts(ranges, near_bytes_left)
    if parts is None:
        return step
    usable = slack if ahead_allowed and parts[0] < slack_bytes else STARTUP_CYCLES if at_start else 0
    ifm_memory = machine.near if step.reads_rolling_buffer else machine.far
    run = run_of(machine, work, step.block, step.rows, slices, machine.near, ifm_memory, usable, len(parts) == 2)
    if not forced and not _better(
        machine, work, step, run, before, user, made_by_pass and machine.spills, parts, len(slices) - 1,
        near_bytes_left, compute_bound, at_start, refetches, transfer,
    ):  # fmt: skip
        return step
    last_part = (len(slices) - 2) % len(parts)
    return replace(
        step,
        slices=slices,
        run=run,
        buffer=Buffer(parts, ahead_allowed and parts[0] < slack_bytes),
        slack_cycles=run.last_slice_cycles,
        slack_bytes=near_bytes_left - parts[last_part],
    )


def _parts(ranges: tuple[int, ...], limit: int) -> tuple[int, ...] | None:
    """Bytes of the buffer's parts: two to fill one while the other is read, else one, else none."""
    even, odd = max(ranges[::2]), max(ranges[1::2], default=0)
    if odd and even + odd <= limit:
        return even, odd
    if max(ranges) <= limit and len(ranges) >= 1:
        return (max(ranges),)
    return None


def _slices(
    machine: Machine, work: Work, step: Step, depth: int, total: int, transfer: int, slack: int, limit: int,
    compute_bound: bool,
) -> tuple[int, ...] | None:  # fmt: skip
    """Output channels to cut at; None where the slices would leave the multipliers idle."""
    half = limit // 2
    smallest = min(SPLIT / depth, 1.0)
    hidden = min(slack / transfer, 1.0)
    aligned = floor(hidden / smallest) * smallest
    ratio = 1.0 if 1.0 - aligned < smallest / 2 else hidden
    if compute_bound and 0.5 < ratio < 1.0:
        ratio = min(max(up(floor(depth * 0.5), SPLIT) / depth, 0.5), 1.0)
    ratio = min(max(ratio, smallest), min(half / total, 1.0))
    if ratio >= 1.0:
        return 0, depth
    block_depth = step.block.ofm[2]
    minimum = max(SPLIT, step.block.micro[2])
    first = max(_down(int(depth * ratio), minimum), SPLIT)
    then = 0
    if first < depth:
        part = work.part(work.ofm.height, work.ifm.height, first)
        done = compute_cycles(
            machine, part, step.block, machine.far, machine.far, machine.far, machine.near, first=True, last=False
        )
        then = up(max(int(depth * done / transfer), SPLIT), block_depth)
        if int(then / depth * total) > half:
            then = int(half / total * depth)
    slices: tuple[int, ...] = (0, depth)
    while then:
        then = max(_down(then, block_depth if then > block_depth else minimum), minimum)
        slices = (0, *range(first, depth, then), depth)
        if max(weight_ranges(machine, work, step.block, slices)) <= half or (first == SPLIT and then == minimum):
            break
        if then > first:
            then = up(then // 2, minimum)
        else:
            first = up(first // 2, SPLIT)
    if len(slices) > 3 and then / up(then, block_depth) < 0.3 and compute_bound:
        return None
    return slices


def _better(
    machine: Machine, work: Work, step: Step, run: Run, before: Slack | None, user: Run | None,
    movable: bool, parts: tuple[int, ...], count: int, limit: int, compute_bound: bool, at_start: bool,
    refetches: int, transfer: int,
) -> bool:  # fmt: skip
    """Whether the buffer is no worse than reading the weights where they are, or having the input near instead."""
    old = step.run
    assert old is not None
    ifm_cycles = run.ifm_cycles
    if movable and not step.reads_rolling_buffer:
        both = run.ifm_bytes + sum(parts) <= limit
        staged = read_cycles(machine, machine.near, old.ifm_read_bytes, "ifm")
        with_ifm = max(old.cycles, old.weight_cycles, staged)
        with_weights = max(run.full_cycles, run.weight_cycles, run.ifm_cycles)
        room = before.bytes if before else 0
        if not both and run.ifm_bytes < room and with_ifm < with_weights and with_ifm < run.ifm_cycles:
            return False
        if user is not None and _prefers_user(step, run, before, user, sum(parts), limit):
            return False
        if both:
            ifm_cycles = read_cycles(machine, machine.near, run.ifm_read_bytes, "ifm")
    original = max(old.cycles, old.weight_cycles, ifm_cycles)
    new = max(run.full_cycles, run.weight_cycles, ifm_cycles)
    if compute_bound:
        seen = run.full_cycles == new
        if run.waiting_cycles // count < STARTUP_CYCLES:
            new -= run.waiting_cycles
        if count > 1 and seen and run.full_cycles == new and at_start:
            new -= count * (STARTUP_CYCLES // 2)
    return not (original < new or (refetches == 1 and transfer + run.weight_cycles > original))


def _prefers_user(step: Step, run: Run, before: Slack | None, later: Run, parts: int, limit: int) -> bool:
    """Whether the room is better left to the output, which its first reader would read many times from afar."""
    if later.compute_bound or not later.weight_cycles:
        return False
    if later.ifm_cycles / later.weight_cycles <= 2.0 or later.ifm_bytes >= limit:
        return False
    room = before.bytes if before else 0
    if later.ifm_bytes + run.ifm_bytes + parts <= room:
        return False
    assert step.run is not None
    return step.run.compute_bound or later.ifm_cycles > run.ifm_cycles
