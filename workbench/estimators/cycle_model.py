"""The analytic model of Ethos-U applied to a network: lower, issue passes, schedule, count cycles.

    network --lower--> operators --issue--> passes --schedule--> cycles of every pass, bytes in every memory

What is modelled is what the compiler would report: its cycle model and its use of memory, not a chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log

from ..graph import Graph
from ..hardware import EthosU
from ..hardware.folded_constants import resize_weight
from ..hardware.lowering import HwOp, lower, unsupported
from ..hardware.tensor_scales import requantised
from .npu.machine import Machine, machine_of
from .npu.network import Analysis, analyse
from .npu.operators.cpu_fallback import cpu_operators
from .npu.operators.decompose import COMPOSITE
from .npu.operators.sequence import pass_sequence
from .npu.passes import Pass
from .npu.weight_histogram import WeightHistogram, weight_histogram
from .weight_distributions import NORMAL, WeightValues

__all__ = ["Modelled", "modelled", "operator_ms"]


@dataclass(frozen=True)
class Modelled:
    """A network as modelled on an accelerator: its operators in the order they run, their passes, and their cost.

    run: lowered operators, inputs left out. missing: operators without a rule, or that the accelerator does not take,
    as "KIND path". cycles: one number per operator of `run`. sram_bytes, dram_bytes: as the compiler would report them.
    factors: what the analysed cycles of every operator are multiplied with, where the accelerator lies between two real
    ones; empty for a real one.
    """

    machine: Machine
    run: tuple[HwOp, ...]
    missing: tuple[str, ...]
    passes: tuple[Pass, ...]
    analysis: Analysis
    factors: tuple[float, ...] = ()

    @cached_property
    def cycles(self) -> tuple[float, ...]:
        cycles = [0.0] * len(self.run)
        for pass_, cost in zip(self.passes, self.analysis.passes, strict=True):
            cycles[pass_.sources[0]] += cost.cycles
        return tuple(n * f for n, f in zip(cycles, self.factors, strict=True)) if self.factors else tuple(cycles)

    @property
    def composed(self) -> bool:
        """Whether it has attention or layer norms, which the accelerator runs as several simpler operators."""
        return any(op.kind in COMPOSITE for op in self.run)

    @property
    def sram_bytes(self) -> int:
        return max(self.analysis.memory_usage.near)

    @property
    def dram_bytes(self) -> int:
        constants = self.analysis.memory_usage.constants if self.machine.constants.name == "Dram" else 0
        return max(self.analysis.memory_usage.far) + constants


def modelled(graph: Graph, target: EthosU, values: WeightValues = NORMAL) -> Modelled:
    """Lower, issue and schedule a network.

    values: how weights are distributed; normally where not given, except those the graph compresses.
    """
    if not target.is_real:
        return _between(target, *(modelled(graph, neighbour, values) for neighbour in target.neighbours))
    ops = requantised(lower(graph))
    run = tuple(op for op in ops if op.kind != "INPUT")
    machine = machine_of(target)
    host = cpu_operators(ops, machine.family)
    passes = pass_sequence(ops, machine, _distributions(graph, run, values), host)
    missing = unsupported(ops) + tuple(f"{op.kind} {op.sources[0]}" for op in run if op.name in host)
    analysis = analyse(machine, passes)
    return Modelled(machine, run, missing, tuple(analysis.schedule.program.passes), analysis)


def operator_ms(run: Sequence[HwOp], cycles: Sequence[float], target: EthosU) -> dict[str, float]:
    """Milliseconds by graph operator; the first operator of a fused group carries the group's cost."""
    latency: dict[str, float] = {}
    for op, spent in zip(run, cycles, strict=True):
        name = op.sources[0]
        latency[name] = latency.get(name, 0.0) + spent / target.clock_hz * 1e3
    return latency


def _between(target: EthosU, small: Modelled, large: Modelled) -> Modelled:
    """An accelerator between (or beyond) two real ones: every operator's cycles on the straight line through theirs,
    both axes logarithmic. All else is the nearer one's.
    """
    at = log(target.macs / small.machine.macs) / log(large.machine.macs / small.machine.macs)
    near = small if at < 0.5 else large
    factors = tuple(
        (a ** (1 - at) * b**at) / n if a and b else 1.0
        for a, b, n in zip(small.cycles, large.cycles, near.cycles, strict=True)
    )
    return replace(near, factors=factors)


def _distributions(graph: Graph, run: Sequence[HwOp], values: WeightValues) -> dict[str, WeightHistogram]:
    """Lowered operator -> distribution of its weight, those without a known one left out."""
    distributions = {}
    for op in run:
        if op.weight is not None and op.folds and graph.by_name[op.folds[0]].kind == "resize":
            distributions[op.name] = weight_histogram(resize_weight(graph, op))
        elif op.weight is not None and op.folds:
            values_of_op = values.of(graph.by_name[op.folds[0]], graph.by_name[op.before] if op.before else None)
            if values_of_op is not None:
                distributions[op.name] = values_of_op
    return distributions
