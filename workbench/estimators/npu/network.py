"""Cycles of every pass of a network on an accelerator.

Rules: Ethos-U Vela 5.2, scheduler and network performance model. A pass takes as long as the slowest of its
computation and of each memory it touches:

    cycles = max(compute, access(near), access(far), access(constants))

where compute includes the wait for weights that could not be fetched while the pass before it ran.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .cycles.access import PassMemories, memory_cycles
from .cycles.compute import compute_cycles
from .cycles.transfers import copy_cycles
from .machine import Machine, Memory
from .passes import ELEMENTWISE, Pass, PassSpec
from .schedule.pass_schedule import PassSchedule, slice_bytes
from .schedule.scheduler import LUT_BYTES, MemoryUsage, NetworkSchedule, schedule_passes

__all__ = ["Analysis", "PassCycles", "analyse"]


@dataclass(frozen=True)
class PassCycles:
    """Cycles of one pass: in all, computing, and of each memory it touches by name.

    cascaded: whether it runs in stripes with its neighbours. slices: of its weights. prefetched: whether the first of
    them is copied near while the pass before runs.
    """

    cycles: int
    compute: int
    access: dict[str, int]
    cascaded: bool
    slices: int
    prefetched: bool


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a network costs: its passes in order, copies of inputs included, and how they run."""

    passes: tuple[PassCycles, ...]
    schedule: NetworkSchedule

    @property
    def memory_usage(self) -> MemoryUsage:
        """The memory it takes."""
        return self.schedule.memory_usage


def analyse(machine: Machine, passes: Sequence[Pass]) -> Analysis:
    """Schedule the passes and count the cycles of every one."""
    network = schedule_passes(machine, passes)
    costs: list[PassCycles] = []
    slack_cycles = 0
    for pass_, schedule in zip(network.program.passes, network.striping.schedules, strict=True):
        memories = _memories(machine, pass_, schedule, network.near)
        costs.append(_pass_cycles(machine, pass_.spec, schedule, memories, slack_cycles))
        slack_cycles = schedule.slack_cycles
    return Analysis(tuple(costs), network)


def _memories(machine: Machine, pass_: Pass, schedule: PassSchedule, near: frozenset[str]) -> PassMemories:
    """The memory of every feature map of a pass."""
    near_memory, far, constants = machine.near, machine.far, machine.constants

    def memory(name: str) -> Memory:
        return near_memory if name in near else far if name else constants

    inputs, chain, output = pass_.inputs, pass_.chain, near_memory if pass_.output in near else far
    ifm = memory(inputs[0]) if inputs else far
    ifm2 = memory(inputs[1]) if len(inputs) > 1 else ifm
    weights = near_memory if schedule.buffer else constants
    if not chain:
        return PassMemories(ifm, ifm2, output, weights, (), output)
    operands = tuple([memory(link.operand_name) for link in chain])
    ofm = far if any(link.op in ELEMENTWISE for link in chain) else output
    return PassMemories(ifm, ifm2, ofm, weights, operands, output)


@lru_cache(maxsize=1 << 17)
def _pass_cycles(
    machine: Machine, spec: PassSpec, schedule: PassSchedule, memories: PassMemories, slack_cycles: int
) -> PassCycles:
    """Cycles of a pass; slack_cycles: of the pass before, in which weights can be fetched."""
    compute = compute_cycles(machine, spec, schedule.block, memories)
    buffer = schedule.buffer
    prefetched_bytes = 0
    if buffer:
        first_slice = slice_bytes(machine, spec, schedule.block, schedule.slices)[0]
        prefetched_bytes = first_slice if buffer.prefetched else 0
        wait = max(copy_cycles(machine, machine.near, machine.constants, first_slice) - slack_cycles, 0)
        compute = max(schedule.copy_cycles - slack_cycles + schedule.slack_cycles, compute + wait)
    if spec.op == "LUT":
        source = machine.constants
        table = int(LUT_BYTES / source.bytes_per_cycle) + source.read_latency
        compute += table if buffer else max(table - slack_cycles, 0)
    access = memory_cycles(machine, spec, schedule.block, memories, prefetched_bytes, schedule.slices)
    return PassCycles(
        max([compute, *access.values()]),
        compute,
        access,
        schedule.cascaded,
        max(len(schedule.slices) - 1, 1),
        bool(buffer and buffer.prefetched),
    )
