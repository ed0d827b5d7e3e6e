"""Graph -> Estimate on a device that was measured: priced by its model, kept in the user's cache."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import WorkbenchError
from ...graph import Graph
from ...targets import OnnxRuntimeCpu, TableTarget, Target, Weights
from ...targets.lowering import lower, unsupported
from ..estimate import Estimate
from ..memory import peak_bytes, replay
from .measuring import Report, cache_folder, measure, rows_of_table
from .model import DeviceModel, fit, held_out
from .roofline import Batch, bounds
from .work import work_of

__all__ = ["calibrate", "estimate", "is_calibrated", "model_of"]

_NETWORKS = 120


def is_calibrated(target: Target) -> bool:
    """Whether this user has a model of this very configuration."""
    return _model_path(target).is_file()


def model_of(target: Target) -> DeviceModel:
    """The model `calibrate` kept; WorkbenchError where there is none."""
    path = _model_path(target)
    if not path.is_file():
        raise WorkbenchError(f"{target.name} is not calibrated; run `workbench calibrate {target.name}` first")
    return _loaded(path, path.stat().st_mtime_ns)


def calibrate(target: Target, networks: int = _NETWORKS, report: Report | None = None) -> Path:
    """Measure networks on the target (a table: read its rows), fit, keep the model; returns its path.

    A run that was stopped goes on where it was. report(done, networks, name) is called after every network.
    """
    folder = cache_folder(target)
    rows = rows_of_table(target) if isinstance(target, TableTarget) else measure(target, networks, folder, report)
    model = fit(target, rows)
    ratio = held_out(target, rows)
    ratio = ratio[np.isfinite(ratio)]
    return model.with_errors(ratio).save(_model_path(target))


def estimate(graph: Graph, target: Target, weights: Weights | None = None) -> Estimate:
    """What the network is predicted to cost on a calibrated device; no weight is read.

    `sram_bytes` and `dram_bytes` have no meaning here and are 0. Operators no rule is known for are named in
    `cpu_ops` and make the estimate incomplete. Raises WorkbenchError for a device without calibration.
    """
    model = model_of(target)
    work, ops = work_of(graph), lower(graph)
    spent = model.predict_ops(graph)
    held = bounds(np.array(model.rates), Batch((work,), model.grid))
    limit = dict(zip(reversed(work.sources), reversed(held), strict=True))  # the first of a group wins
    size = 4 if isinstance(target, OnnxRuntimeCpu) and target.dtype == "float32" else 1
    block_of = {name: block.name for block in graph.blocks for name in block.ops}
    rows = pd.DataFrame(
        {
            "name": op.name, "module": op.module, "block": block_of.get(op.name, ""), "kind": op.kind,
            "shape": op.shape, "macs": op.macs, "latency_ms": spent.get(op.name, 0.0),
            "bound": limit.get(op.name, "compute"),
        }
        for op in graph.ops
        if op.kind not in ("input", "param")
    )  # fmt: skip
    total = sum(spent.values())
    low, high = model.interval
    by_bound = rows.groupby("bound").latency_ms.sum()
    return Estimate(
        latency_ms=total,
        latency_interval_ms=(total * low, total * high),
        peak_activation_bytes=peak_bytes(ops) * size,
        sram_bytes=0,
        dram_bytes=0,
        weight_bytes=graph.params * size,
        params=graph.params,
        macs=graph.macs,
        bound=str(by_bound.idxmax()) if len(by_bound) else "compute",
        cpu_ops=unsupported(ops),
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        ops=rows,
        blocks=_blocks(graph, spent),
        memory_timeline=pd.DataFrame(
            {"op": s.op, "live_bytes": s.live_bytes * size, "tensors": ", ".join(s.tensors)} for s in replay(ops)
        ),
    )


def _blocks(graph: Graph, spent: Mapping[str, float]) -> pd.DataFrame:
    total = sum(spent.values()) or 1.0
    rows = []
    for block in graph.blocks:
        ms = sum(spent.get(name, 0.0) for name in block.ops)
        ops = [graph.by_name[name] for name in block.ops]
        params = sum(int(np.prod(p.shape)) for op in ops for p in op.params if not p.role.startswith("running"))
        rows.append(
            {
                "name": block.name, "kind": block.kind,
                "shape": "x".join(map(str, graph.by_name[block.output].shape[1:])), "latency_ms": ms,
                "share": ms / total, "macs": sum(op.macs for op in ops), "params": params,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _model_path(target: Target) -> Path:
    return cache_folder(target) / "model.json"


@cache
def _loaded(path: Path, changed: int) -> DeviceModel:
    """`changed` is the file's time stamp: a new calibration is read again."""
    return DeviceModel.load(path)
