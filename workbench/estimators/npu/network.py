"""Cycles of every pass of a network on an accelerator.

Rules: Ethos-U Vela 5.2, scheduler and network performance model. A pass takes as long as the slowest of its
computation and of each memory it touches:

    cycles = max(compute, access(near), access(far), access(constants))

where compute includes the wait for weights that could not be fetched while the pass before it ran.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from .buffering import buffered
from .cascades import Joints, cascaded, near_ranges, near_usage, widened
from .cycles import access_cycles, compute_cycles, mem_to_mem_cycles
from .machine import Machine, Memory
from .passes import Pass, Work
from .placement import near_maps
from .ranges import live_ranges, times_of, usage, weight_buffers
from .steps import Cascade, Slack, Step, step_of, weight_ranges
from .tensors import Tensors

__all__ = ["Analysis", "Memories", "PassCycles", "Schedule", "analyse", "scheduled"]

_NO_LIMIT = 1 << 30
_TABLE_BYTES = 256  # of an activation looked up


@dataclass(frozen=True)
class PassCycles:
    """Cycles of one pass: in all, computing, and of each memory it touches by name.

    cascaded: whether it runs in stripes with its neighbours. slices: pieces its weights come in. ahead: whether the
    first of them comes while the pass before runs.
    """

    cycles: int
    compute: int
    access: dict[str, int]
    cascaded: bool
    slices: int
    ahead: bool


@dataclass(frozen=True)
class Memories:
    """Bytes in use at every time (see `ranges`): near, and far where maps can be there. constants: bytes, stored."""

    near: Sequence[int]
    far: Sequence[int]
    constants: int


@dataclass(frozen=True, eq=False)
class Schedule:
    """How passes run: a step each, the cascades, the names of the maps that are near, and the bytes near at every
    time.
    """

    machine: Machine
    passes: Sequence[Pass]
    tensors: Tensors
    steps: tuple[Step, ...]
    cascades: tuple[Cascade, ...]
    near: frozenset[str]
    used: Sequence[int]

    @cached_property
    def memories(self) -> Memories:
        """The memory it takes; a search that asks for cycles alone never has it counted."""
        passes, steps, tensors = self.passes, self.steps, self.tensors
        far = [0] * len(self.used)
        if self.machine.spills:
            striped = [step.cascaded for step in steps]
            names = set(tensors.bytes) - self.near
            far = usage(live_ranges(passes, tensors, striped, times_of(steps), names, {}), len(far))
        return Memories(self.used, far, _constant_bytes(self.machine, passes, steps))


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a network costs, its passes in order, and how they run."""

    passes: tuple[PassCycles, ...]
    schedule: Schedule

    @property
    def memories(self) -> Memories:
        """The memory it takes."""
        return self.schedule.memories


def scheduled(machine: Machine, passes: Sequence[Pass]) -> Schedule:
    """How the passes run."""
    tensors = Tensors.of(passes)
    steps, cascades = _striped(machine, passes, tensors)
    near = frozenset(tensors.bytes)
    if machine.spills:
        near, used = near_maps(machine, passes, tensors, steps, cascades)
    else:
        used = _used(machine, passes, tensors, steps, cascades)
    return Schedule(machine, passes, tensors, tuple(steps), tuple(cascades), near, used)


def _constant_bytes(machine: Machine, passes: Sequence[Pass], steps: Sequence[Step]) -> int:
    """Stored weights and scales, each once, and tables of activations."""
    stored: dict[str, int] = {}
    for i, (pass_, step) in enumerate(zip(passes, steps, strict=True)):
        if pass_.weight_bytes:
            stored[pass_.weights or f"{i}"] = sum(
                weight_ranges(machine, pass_.work, step.block, (0, pass_.work.outputs))
            )
    tables = sum(link.op == "LUT" for pass_ in passes for link in pass_.chain)
    return sum(stored.values()) + tables * _TABLE_BYTES


def _striped(machine: Machine, passes: Sequence[Pass], tensors: Tensors) -> tuple[list[Step], list[Cascade]]:
    """Whole passes where these fit, else cascades; weights buffered near."""
    limit = first_limit = machine.near_bytes
    whole = [step_of(machine, pass_.work) for pass_ in passes]
    if not machine.spills and machine.fast:
        steps = _buffered(machine, passes, tensors, whole, _NO_LIMIT, None)
        used = _used(machine, passes, tensors, steps, [])
        if max(used) < limit:
            return steps, []
    if not machine.fast:
        first_limit = min(near_usage(machine, passes, tensors, whole, []))
    joints = Joints.of(passes, tensors)
    steps, cascades = cascaded(machine, passes, tensors, joints, whole, first_limit)
    if not machine.fast:
        limit = max(near_usage(machine, passes, tensors, steps, cascades)) or limit
    steps, cascades = widened(machine, passes, tensors, joints, whole, steps, cascades, limit)
    used = _used(machine, passes, tensors, steps, cascades)
    return _buffered(machine, passes, tensors, steps, limit, used), cascades


def _used(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], cascades: Sequence[Cascade]
) -> list[int]:
    """Bytes near at every time: maps that cannot be far, rolling buffers and weights."""
    times = times_of(steps)
    ranges = near_ranges(machine, passes, tensors, steps, cascades, times)
    return usage([*ranges, *weight_buffers(steps, times)], 2 * len(passes) + 3)


def analyse(machine: Machine, passes: Sequence[Pass]) -> Analysis:
    """Schedule the passes and cost every one."""
    schedule = scheduled(machine, passes)
    found: list[PassCycles] = []
    previous: Step | None = None
    for pass_, step in zip(passes, schedule.steps, strict=True):
        found.append(_cycles(machine, pass_, step, previous, schedule.near))
        previous = step
    return Analysis(tuple(found), schedule)


def _cycles(machine: Machine, pass_: Pass, step: Step, previous: Step | None, near: frozenset[str]) -> PassCycles:
    def memory(name: str) -> Memory:
        if not name:
            return machine.constants
        return machine.near if name in near else machine.far

    inputs, chain, output = pass_.inputs, pass_.chain, memory(pass_.output)
    ifm = memory(inputs[0]) if inputs else machine.far
    ifm2 = memory(inputs[1]) if len(inputs) > 1 else ifm
    chained = tuple([memory(link.other_name) for link in chain]) if chain else ()
    ofm = machine.far if chain and any(link.other_name for link in chain) else output
    slack = previous.slack_cycles if previous else 0
    return _placed(machine, pass_.work, step, slack, ifm, ifm2, chained, ofm, output)


@lru_cache(maxsize=1 << 17)
def _placed(
    machine: Machine, work: Work, step: Step, slack: int, ifm: Memory, ifm2: Memory, chained: tuple[Memory, ...],
    ofm: Memory, output: Memory,
) -> PassCycles:  # fmt: skip
    """Cycles with every map in its memory; slack: cycles of the pass before in which weights can come."""
    weights = machine.near if step.buffer else machine.constants
    compute = compute_cycles(machine, work, step.block, ifm, ifm2, ofm, weights)
    ahead = 0
    if step.buffer:
        first = weight_ranges(machine, work, step.block, step.slices)[0]
        ahead = first if step.buffer.ahead else 0
        wait = max(mem_to_mem_cycles(machine, machine.near, machine.constants, first) - slack, 0)
        compute = max(step.transfer_cycles - slack + step.slack_cycles, compute + wait)
    if work.op == "LUT":
        source = machine.constants
        table = int(_TABLE_BYTES / source.bytes_per_cycle) + source.read_latency
        compute += table if step.buffer else max(table - slack, 0)
    access = access_cycles(machine, work, step.block, ifm, ifm2, ofm, chained, output, weights, ahead)
    return PassCycles(
        max([compute, *access.values()]),
        compute,
        access,
        step.cascaded,
        max(len(step.slices) - 1, 1),
        bool(step.buffer and step.buffer.ahead),
    )


def _buffered(
    machine: Machine, passes: Sequence[Pass], tensors: Tensors, steps: Sequence[Step], limit: int,
    used: list[int] | None,
) -> list[Step]:  # fmt: skip
    """Every pass with the weight buffer that pays, given the room that what is `used` at every time leaves (None:
    nothing is).
    """
    times = times_of(steps)
    free = most = min(limit, _NO_LIMIT)
    done: list[Step] = []
    before: Slack | None = None
    makers, readers = tensors.makers, tensors.readers
    beside = passes[1].weights if len(passes) > 1 else ""  # the first is compared with the one after it
    for pass_, step, t in zip(passes, steps, times, strict=True):
        own = step.buffer.bytes if step.buffer else 0
        users = readers[pass_.output]
        user = steps[users[0]].run if users else None
        inputs, weights = pass_.inputs, pass_.weights
        made = bool(inputs) and inputs[0] in makers
        shares = bool(weights) and weights == beside
        beside = weights
        if used is not None:
            free = max(most - max(used[t] - own, 0), 0)
        whole = replace(step, buffer=None) if step.buffer else step
        step = buffered(machine, pass_.work, whole, before, user, made, free, shares)
        if used is not None and step.buffer:
            used[t] += step.buffer.bytes  # on top of its own from before: the compiler counts it twice, too
        done.append(step)
        before = step.slack
    return done
