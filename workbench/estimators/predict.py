"""Graph -> Estimate: lower, look at every operator in its place, add up."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from ..errors import WorkbenchError
from ..graph import Graph
from ..targets import EthosU, Target, Weights
from ..targets.lowering import HwOp, lower, unsupported
from ..targets.quantisation import assign_scales
from . import latency
from .estimate import Estimate
from .features import FEATURES, features
from .memory import peak_bytes, replay
from .npu.issue import issue
from .npu.machine import machine_of
from .npu.network import analyse

__all__ = ["estimate", "is_calibrated"]


def is_calibrated(target: Target) -> bool:
    """Whether measurements of this very configuration ship with the package."""
    return latency.model_path(target).is_file()


def estimate(graph: Graph, target: Target, weights: Weights | None = None) -> Estimate:
    """What the network is predicted to cost on a calibrated target; no weight is read in this version.

    Operators the accelerator cannot take, or that were never measured, are named in `cpu_ops` and make the
    estimate incomplete. Raises WorkbenchError for a target without calibration.
    """
    if not is_calibrated(target) or not isinstance(target, EthosU):
        raise WorkbenchError(f"{target.name} is not calibrated; run `workbench calibrate {target.name}` first")
    facts = _facts(target)
    ops, _ = assign_scales(lower(graph))
    run = [op for op in ops if op.kind != "INPUT"]
    machine = machine_of(target)
    passes = issue(ops, machine)
    analysis = analyse(machine, passes)
    table = features(ops, passes, analysis, machine)
    cycles = latency.predict(latency.load(latency.model_path(target)), table)
    missing = unsupported(ops) + _left_on_cpu(run, facts)
    rows = _operators(graph, run, cycles, _limits(table, target), target)
    blocks = _blocks(graph, rows)
    total_ms = float(cycles.sum()) / target.clock_hz * 1e3
    low, high = facts["interval"]
    peak = peak_bytes(ops)
    weight_bytes = sum(_weight_bytes(op) for op in run)
    steps = replay(ops)
    bound_ms = rows.groupby("bound").latency_ms.sum()
    return Estimate(
        latency_ms=total_ms,
        latency_interval_ms=(total_ms * low, total_ms * high),
        peak_activation_bytes=peak,
        sram_bytes=analysis.near_bytes if machine.spills else int(peak * facts["sram_over_peak"]),
        dram_bytes=_dram_bytes(target, peak, weight_bytes, facts),
        weight_bytes=weight_bytes,
        params=graph.params,
        macs=graph.macs,
        bound=str(bound_ms.idxmax()) if len(bound_ms) else "compute",
        cpu_ops=missing,
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        ops=rows,
        blocks=blocks,
        memory_timeline=pd.DataFrame(
            {"op": s.op, "live_bytes": s.live_bytes, "tensors": ", ".join(s.tensors)} for s in steps
        ),
    )


@cache
def _facts(target: EthosU) -> Mapping[str, Any]:
    path = latency.model_path(target).with_suffix(".json")
    facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _weight_bytes(op: HwOp) -> int:
    if op.weight is None:
        return 0
    n = 1
    for d in op.weight:
        n *= d
    return n + 4 * (op.weight[-1] if op.kind == "DEPTHWISE_CONV_2D" else op.weight[0])


def _left_on_cpu(run: Sequence[HwOp], facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Operators of kinds that always fell to the host in the calibration, or that it never saw."""
    known = set(facts["kinds"])
    return tuple(
        f"{op.kind} {op.sources[0]}"
        for op in run
        if not op.kind.startswith("UNSUPPORTED") and (op.kind not in known or _beyond_the_array(op, facts))
    )


def _beyond_the_array(op: HwOp, facts: Mapping[str, Any]) -> bool:
    """Constraints of Ethos-U55 and U65 (Vela's supported operators): strides over 3 only with VALID padding."""
    return bool(facts["family"] != "u85" and op.weight is not None and max(op.stride) > 3 and op.same)


def _limits(table: np.ndarray, target: EthosU) -> dict[str, np.ndarray]:
    """Modelled cycles of what could hold every operator up: the array, or one of the memories."""
    machine = machine_of(target)
    found = {"compute": np.exp2(table[:, FEATURES.index("compute")])}
    for part, memory in (("near", machine.near), ("far", machine.far), ("constants", machine.constants)):
        name = "flash" if "Flash" in memory.name else memory.name.lower()
        found[name] = np.maximum(found.get(name, 0.0), np.exp2(table[:, FEATURES.index(part)]))
    return found


def _operators(
    graph: Graph, run: Sequence[HwOp], cycles: np.ndarray, limits: Mapping[str, np.ndarray], target: EthosU
) -> pd.DataFrame:
    """One row per graph operator; the first operator of a fused group carries the group's cost."""
    cost: dict[str, float] = {}
    held: dict[str, dict[str, float]] = {}
    for i, (op, spent) in enumerate(zip(run, cycles, strict=True)):
        name = op.sources[0]
        cost[name] = cost.get(name, 0.0) + float(spent)
        parts = held.setdefault(name, dict.fromkeys(limits, 0.0))
        for what, values in limits.items():
            parts[what] += float(values[i])
    block_of = {name: block.name for block in graph.blocks for name in block.ops}
    rows = [
        {
            "name": op.name,
            "module": op.module,
            "block": block_of.get(op.name, ""),
            "kind": op.kind,
            "shape": op.shape,
            "macs": op.macs,
            "latency_ms": cost.get(op.name, 0.0) / target.clock_hz * 1e3,
            "bound": max(held[op.name], key=held[op.name].__getitem__) if op.name in held else "compute",
        }
        for op in graph.ops
        if op.kind not in ("input", "param")
    ]
    return pd.DataFrame(rows)


def _blocks(graph: Graph, rows: pd.DataFrame) -> pd.DataFrame:
    spent = rows.groupby("block").latency_ms.sum()
    total = float(spent.sum()) or 1.0
    params = {
        op.name: sum(int(np.prod(p.shape)) for p in op.params if not p.role.startswith("running")) for op in graph.ops
    }
    return pd.DataFrame(
        {
            "name": block.name,
            "kind": block.kind,
            "shape": "x".join(map(str, graph.by_name[block.output].shape[1:])),
            "latency_ms": float(spent.get(block.name, 0.0)),
            "share": float(spent.get(block.name, 0.0)) / total,
            "macs": sum(graph.by_name[name].macs for name in block.ops),
            "params": sum(params[name] for name in block.ops),
        }
        for block in graph.blocks
    )


def _dram_bytes(target: EthosU, peak: int, weight_bytes: int, facts: Mapping[str, Any]) -> int:
    if target.accelerator.startswith("ethos-u55"):
        return 0
    per_weight, per_peak = facts["dram"]
    return int(per_weight * weight_bytes + per_peak * peak)
