"""Graph -> Estimate on a device that was measured, by the model that `calibrate` kept."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ...graph import Graph, live_ranges
from ...hardware import EthosU, OnnxRuntimeCpu, Target
from ...hardware.lowering import lower, unsupported
from .. import ethos_u
from ..estimate import Detail, Estimate
from .accelerator_model import AcceleratorModel
from .calibration import model_of
from .operator_work import work_of
from .profiled_model import ProfiledModel
from .roofline import Batch, bounds
from .totals_model import TotalsModel

__all__ = ["estimate"]


def estimate(graph: Graph, target: Target) -> Estimate:
    """What the network is predicted to cost on a calibrated device.

    `sram_bytes` and `dram_bytes` have no meaning here and are 0. Operators no rule is known for are named in
    `cpu_ops` and make the estimate incomplete. Raises WorkbenchError for a device without calibration.
    """
    match model_of(target):
        case AcceleratorModel() as model:
            return _corrected(graph, target, model)
        case ProfiledModel() as model:
            spent, prices = model.predict_ops(graph), model.base
        case model:
            spent, prices = model.predict_ops(graph), model
    bound, value_bytes = _bounds(graph, prices), _value_bytes(target)
    total, (low, high) = sum(spent.values()), model.interval
    timeline = partial(_timeline, graph, value_bytes)
    return Estimate(
        latency_ms=total,
        latency_interval_ms=(total * low, total * high),
        peak_activation_bytes=max((live for _, live, _ in timeline()), default=0),
        sram_bytes=0,
        dram_bytes=0,
        weight_bytes=graph.params * value_bytes,
        params=graph.params,
        macs=graph.macs,
        bound=_largest_bound(spent, bound),
        cpu_ops=unsupported(lower(graph)),
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        detail=Detail(graph, spent, bound, timeline),
    )


def _corrected(graph: Graph, target: Target, model: AcceleratorModel) -> Estimate:
    """The estimate for the accelerator behind a table; where it does not take all operators, as far as it goes."""
    base = ethos_u.alone(graph, EthosU(model.base))
    spent = model.predict_ops(graph)
    total, (low, high) = sum(spent.values()), model.interval
    return replace(
        base, latency_ms=total, latency_interval_ms=(total * low, total * high), target=target.name,
        target_digest=target.digest, compiler=target.compiler, detail=replace(base.detail, latency_ms=spent),
    )  # fmt: skip


def _value_bytes(target: Target) -> int:
    """Bytes of one weight or activation."""
    return 4 if isinstance(target, OnnxRuntimeCpu) and target.dtype == "float32" else 1


def _bounds(graph: Graph, prices: TotalsModel) -> dict[str, str]:
    """Graph operator -> "compute" or "memory"; the first lowered operator of a fused group decides."""
    work = work_of(graph)
    resources = bounds(np.array(prices.rates), Batch((work,), prices.grid))
    return dict(zip(reversed(work.sources), reversed(resources), strict=True))


def _largest_bound(latency_ms: Mapping[str, float], bound: Mapping[str, str]) -> str:
    """What limits the most time."""
    spent: dict[str, float] = {}
    for name, ms in latency_ms.items():
        resource = bound.get(name, "compute")
        spent[resource] = spent.get(resource, 0.0) + ms
    return max(spent, key=spent.__getitem__, default="compute")


def _timeline(graph: Graph, value_bytes: int) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """(operator, live bytes, live tensors) while every operator runs, each tensor in a place of its own."""
    ranges = live_ranges(graph)
    steps = []
    for i, op in enumerate(graph.ops):
        alive = tuple(
            (name, value_bytes * graph.by_name[name].elements)
            for name, (start, end) in ranges.items()
            if start <= i <= end
        )
        steps.append((op.name, sum(size for _, size in alive), alive))
    return steps
