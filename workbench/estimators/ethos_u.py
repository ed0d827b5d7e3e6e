"""Graph -> Estimate on an Ethos-U: lower, issue, schedule, add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import log, prod
from weakref import WeakKeyDictionary

from ..graph import Graph
from ..hardware import EthosU
from ..hardware.lowering import HwOp, lower, unsupported
from ..hardware.quantisation import requantised
from .estimate import Detail, Estimate
from .intervals import interval
from .memory import peak_bytes, replay
from .npu.machine import Machine, machine_of
from .npu.network import Analysis, PassCycles, analyse
from .npu.operators.cpu_fallback import cpu_operators
from .npu.operators.decompose import COMPOSITE
from .npu.operators.sequence import pass_sequence
from .npu.passes import Pass
from .npu.weight_histogram import WeightHistogram
from .outside import outside
from .own import Factors, kept_stamp, own_factors
from .values import NORMAL, WeightValues

__all__ = ["Modelled", "alone", "estimate", "forget", "modelled", "operator_ms"]

_MOST_ASKED = 512
# Held weakly, so that a model whose values they are can go.
_ASKED: WeakKeyDictionary[WeightValues, dict[tuple[str, str, int], Estimate]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Modelled:
    """What the model says of a network: lowered operators without inputs, their passes, and what these cost.

    missing: what no rule is known for or the accelerator does not take, as "KIND path". cycles: of every operator.
    sram_bytes, dram_bytes: as the compiler would report them. factors: what to multiply the analysed cycles with, where
    the accelerator lies between two that exist.
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
        """Whether it has attention or layer norms, of operators put together of others."""
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
    passes = pass_sequence(ops, machine, _by_operator(graph, run, values), host)
    missing = unsupported(ops) + tuple(f"{op.kind} {op.sources[0]}" for op in run if op.name in host)
    return Modelled(machine, run, missing, passes, analyse(machine, passes))


def operator_ms(found: Modelled, target: EthosU) -> dict[str, float]:
    """Milliseconds by graph operator as modelled, without what own compiles say."""
    return _by_graph_operator(found.run, found.cycles, [{}] * len(found.run), target)[0]


def estimate(graph: Graph, target: EthosU, values: WeightValues = NORMAL) -> Estimate:
    """What the network is predicted to cost by the compiler's cycle model (`values`: see `modelled`).

    Asked again for an equal network it answers from memory, unless something was compiled in between.
    """
    asked = _ASKED.setdefault(values, {})
    key = (graph.digest, target.digest, kept_stamp(target))
    if key not in asked:
        if len(asked) >= _MOST_ASKED:
            asked.pop(next(iter(asked)))
        found = modelled(graph, target, values)
        asked[key] = _estimate(graph, found, target, own_factors(found, target))
    return asked[key]


def alone(graph: Graph, target: EthosU, values: WeightValues = NORMAL) -> Estimate:
    """The estimate without what own compiles say: the same on every machine."""
    return _estimate(graph, modelled(graph, target, values), target, Factors((), 0.0))


def forget() -> None:
    """Answer nothing from memory any more (what operators cost is kept)."""
    _ASKED.clear()


def _estimate(graph: Graph, found: Modelled, target: EthosU, factors: Factors) -> Estimate:
    run, passes = found.run, found.passes
    cycles = found.cycles
    if factors.share:
        cycles = tuple(n * factor for n, factor in zip(cycles, factors.values, strict=True))
    strange = outside(run) + _unbuilt(target)
    latency, bound = _by_graph_operator(run, cycles, _limits(passes, found.analysis, len(run)), target)
    total_ms = sum(latency.values())
    low, high = interval(target, found.composed, bool(strange), factors.share)
    return Estimate(
        latency_ms=total_ms,
        latency_interval_ms=(total_ms * low, total_ms * high),
        peak_activation_bytes=peak_bytes(passes),
        sram_bytes=found.sram_bytes,
        dram_bytes=found.dram_bytes,
        weight_bytes=sum(_weight_bytes(op) for op in run),
        params=graph.params,
        macs=graph.macs,
        bound=_most(latency, bound),
        cpu_ops=found.missing,
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        detail=Detail(graph, latency, bound, partial(_timeline, run, passes)),
        outside=strange,
        own=factors.share,
    )


def _timeline(run: Sequence[HwOp], passes: Sequence[Pass]) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(run[m.op].sources[0], m.live_bytes, m.tensors) for m in replay(passes)]


def _unbuilt(target: EthosU) -> tuple[str, ...]:
    if target.is_real:
        return ()
    small, large = target.neighbours
    return (
        f"no accelerator of {target.macs} MACs exists: those of {small.macs} and {large.macs} say what it would do",
    )


def _between(target: EthosU, small: Modelled, large: Modelled) -> Modelled:
    """An accelerator between (or beyond) two that exist: every operator's cycles on the straight line through theirs,
    both axes logarithmic. All else is the nearer one's.
    """
    at = log(target.macs / small.machine.macs) / log(large.machine.macs / small.machine.macs)
    near = small if at < 0.5 else large
    factors = tuple(
        (a ** (1 - at) * b**at) / n if a and b else 1.0
        for a, b, n in zip(small.cycles, large.cycles, near.cycles, strict=True)
    )
    return replace(near, factors=factors)


def _by_operator(graph: Graph, run: Sequence[HwOp], values: WeightValues) -> dict[str, WeightHistogram]:
    found = {}
    for op in run:
        if op.weight is not None and op.folds:
            mine = values.of(graph.by_name[op.folds[0]], graph.by_name[op.before] if op.before else None)
            if mine is not None:
                found[op.name] = mine
    return found


def _weight_bytes(op: HwOp) -> int:
    if op.weight is None:
        return 0
    return prod(op.weight) + 4 * (op.weight[-1] if op.kind == "DEPTHWISE_CONV_2D" else op.weight[0])


def _limits(passes: Sequence[Pass], analysis: Analysis, count: int) -> list[dict[str, float]]:
    """Cycles of what could hold every operator up: the array, or one of the memories."""
    held: list[dict[str, float]] = [{} for _ in range(count)]
    for pass_, cost in zip(passes, analysis.passes, strict=True):
        mine = held[pass_.sources[0]]
        for what, cycles in _parts(cost):
            mine[what] = mine.get(what, 0.0) + cycles
    return held


def _parts(cost: PassCycles) -> list[tuple[str, float]]:
    memories = [("flash" if "Flash" in name else name.lower(), float(n)) for name, n in cost.access.items()]
    return [("compute", float(cost.compute)), *memories]


def _by_graph_operator(
    run: Sequence[HwOp], cycles: Sequence[float], held: Sequence[Mapping[str, float]], target: EthosU
) -> tuple[dict[str, float], dict[str, str]]:
    """Milliseconds and bound by graph operator; the first operator of a fused group carries the group's cost."""
    cost: dict[str, float] = {}
    parts: dict[str, dict[str, float]] = {}
    for op, spent, limits in zip(run, cycles, held, strict=True):
        name = op.sources[0]
        cost[name] = cost.get(name, 0.0) + spent / target.clock_hz * 1e3
        mine = parts.setdefault(name, {})
        for what, n in limits.items():
            mine[what] = mine.get(what, 0.0) + n
    return cost, {name: max(mine, key=mine.__getitem__) for name, mine in parts.items() if mine}


def _most(latency: Mapping[str, float], bound: Mapping[str, str]) -> str:
    spent: dict[str, float] = {}
    for name, what in bound.items():
        spent[what] = spent.get(what, 0.0) + latency[name]
    return max(spent, key=spent.__getitem__, default="compute")
