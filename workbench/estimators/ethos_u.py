"""Graph -> Estimate on an Ethos-U: the cycle model, corrected by the user's kept compiles, with an interval."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod

from ..graph import Graph
from ..hardware import EthosU
from ..hardware.lowering import HwOp
from .coverage import coverage
from .cycle_model import Modelled, modelled, operator_ms
from .estimate import Detail, Estimate
from .intervals import calibration_stamp, interval
from .kept_compiles import Correction, kept_correction, kept_stamp
from .memory import peak_bytes, replay
from .npu.network import PassCycles
from .npu.passes import Pass
from .weight_distributions import NORMAL, WeightValues

__all__ = ["alone", "estimate", "evidence"]


# What an edit composes of other layers' weights is encoded in other numbers of bytes than what training makes of it, by
# these shares of the cycles that fetch it (fused blocks of MobileNetV2, V3 and MnasNet as they are carried over: 3 to
# 11 % fewer; composed of evenly distributed weights: 2 % more).
_COMPOSED_WEIGHTS = (0.12, 0.05)


def estimate(graph: Graph, target: EthosU, values: WeightValues = NORMAL) -> Estimate:
    """What the network is predicted to cost by the compiler's cycle model (`values`: see `modelled`)."""
    network = modelled(graph, target, values)
    return _estimate(graph, network, target, kept_correction(network.run, network.cycles, target), values)


def alone(graph: Graph, target: EthosU, values: WeightValues = NORMAL) -> Estimate:
    """The estimate without the user's kept compiles: the same on every machine."""
    return _estimate(graph, modelled(graph, target, values), target, Correction(), values)


def evidence(target: EthosU) -> str:
    """Stamp of the files an estimate is made from: compiles kept for the configuration, and the user's calibrations."""
    return f"{kept_stamp(target)}+{calibration_stamp()}"


def _estimate(
    graph: Graph, network: Modelled, target: EthosU, correction: Correction, values: WeightValues
) -> Estimate:
    run, passes, cycles = network.run, network.passes, network.cycles
    if correction.factors:
        cycles = tuple(n * factor for n, factor in zip(cycles, correction.factors, strict=True))
    measured, unbuilt = coverage(run), _unbuilt(target)
    reasons = measured.reasons + unbuilt
    latency, bound = operator_ms(run, cycles, target), _bounds(network)
    total_ms = sum(latency.values())
    low, high = interval(target, network.composed, measured.large or bool(unbuilt), correction.same, measured.kinds)
    low, high = max(low + correction.low - 1, 0.05), high + correction.high - 1
    unlearned = _unlearned_share(graph, network, values, bound) * (1 - correction.same)
    low, high = min(low, 1 - _COMPOSED_WEIGHTS[0] * unlearned), max(high, 1 + _COMPOSED_WEIGHTS[1] * unlearned)
    return Estimate(
        latency_ms=total_ms,
        latency_interval_ms=(total_ms * low, total_ms * high),
        peak_activation_bytes=peak_bytes(passes),
        sram_bytes=network.sram_bytes,
        dram_bytes=network.dram_bytes,
        weight_bytes=sum(_weight_bytes(op) for op in run),
        params=graph.params,
        macs=graph.macs,
        bound=_largest_bound(latency, bound),
        cpu_ops=network.missing,
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        detail=Detail(graph, latency, bound, partial(_timeline, run, passes)),
        outside=reasons,
        own=correction.share,
    )


def _unlearned_share(graph: Graph, network: Modelled, values: WeightValues, bound: Mapping[str, str]) -> float:
    """Of the cycles, those that fetch weights which edits added to a model whose other weights have values."""
    if values.weights is None:
        return 0.0
    added = [
        cycles
        for op, cycles in zip(network.run, network.cycles, strict=True)
        if op.weight is not None and op.folds and bound.get(op.sources[0]) != "compute"
        and values.of(graph.by_name[op.folds[0]]) is None
    ]  # fmt: skip
    return sum(added) / max(sum(network.cycles), 1.0)


def _timeline(run: Sequence[HwOp], passes: Sequence[Pass]) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    return [(run[m.op].sources[0], m.live_bytes, m.tensors) for m in replay(passes)]


def _unbuilt(target: EthosU) -> tuple[str, ...]:
    """Why an estimate is uncertain on an accelerator that nobody built; nothing for a real one."""
    if target.is_real:
        return ()
    small, large = target.neighbours
    return (
        f"no accelerator of {target.macs} MACs exists: those of {small.macs} and {large.macs} say what it would do",
    )


def _weight_bytes(op: HwOp) -> int:
    if op.weight is None:
        return 0
    return prod(op.weight) + 4 * (op.weight[-1] if op.kind == "DEPTHWISE_CONV_2D" else op.weight[0])


def _bounds(network: Modelled) -> dict[str, str]:
    """Graph operator -> what most of its cycles wait for: the array ("compute"), or one of the memories."""
    cycles: dict[str, dict[str, float]] = {op.sources[0]: {} for op in network.run}
    for pass_, cost in zip(network.passes, network.analysis.passes, strict=True):
        of_operator = cycles[network.run[pass_.sources[0]].sources[0]]
        for resource, spent in _cycles_by_resource(cost):
            of_operator[resource] = of_operator.get(resource, 0.0) + spent
    return {name: max(spent, key=spent.__getitem__) for name, spent in cycles.items() if spent}


def _cycles_by_resource(cost: PassCycles) -> list[tuple[str, float]]:
    memories = [("flash" if "Flash" in name else name.lower(), float(n)) for name, n in cost.access.items()]
    return [("compute", float(cost.compute)), *memories]


def _largest_bound(latency_ms: Mapping[str, float], bound: Mapping[str, str]) -> str:
    """What limits the most time."""
    spent: dict[str, float] = {}
    for name, resource in bound.items():
        spent[resource] = spent.get(resource, 0.0) + latency_ms[name]
    return max(spent, key=spent.__getitem__, default="compute")
