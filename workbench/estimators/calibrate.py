"""Calibration: measure operators inside whole networks, fit, keep both.

Networks are random ones (`sampling.py`) and timm's convolutional backbones (`networks.py`). Each measured network
is a Parquet file of its own in a work folder, so a run that was stopped goes on where it was; at the end they
become one table beside the trees that were fitted on them:

    data/<target>.parquet   one row per operator: network, family, kind, cycles, share, features
    data/<target>.txt       LightGBM's trees
    data/<target>.json      the held-out interval, what the compiler's memory figures look like, kinds on the NPU
"""

import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import write_atomic
from ..graph import Graph
from ..targets import EthosU, Measurement
from ..targets.lowering import HwOp, lower
from ..targets.quantisation import assign_scales
from ..targets.tflite import write_tflite
from . import latency
from .features import FEATURES, features
from .memory import peak_bytes
from .networks import calibration_networks
from .npu.issue import issue
from .npu.machine import machine_of
from .npu.network import analyse

__all__ = ["calibrate", "fit", "held_out", "rows_of"]

FOLDS = 5
_ABSURD = 2**50  # cycles; the compiler now and then counts below zero and wraps around


def calibrate(
    target: EthosU,
    networks: int = 400,
    work: Path | None = None,
    out: Path | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Measure `networks` networks on the target, fit, and write the three files; returns the trees' path.

    work: folder of part files (default: the user's cache); out: where the result goes (default: the package).
    report(done, total, name) is called after every network. About 0.5 s a network a core.
    """
    work = work or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "workbench" / target.digest
    work.mkdir(parents=True, exist_ok=True)
    for done, (name, family, make) in enumerate(calibration_networks(networks), 1):
        part = work / f"{name}.parquet"
        if not part.exists():
            graph = make()
            if graph is not None:
                measured = target.measure(write_tflite(graph).data)
                _write(rows_of(name, family, graph, target, measured), part)
        if report is not None:
            report(done, networks, name)
    parts = [pd.read_parquet(path) for path in sorted(work.glob("*.parquet"))]
    return fit(target, pd.concat([p for p in parts if len(p)], ignore_index=True), out or latency.DATA)


def rows_of(name: str, family: str, graph: Graph, target: EthosU, measured: Measurement) -> pd.DataFrame:
    """One row per operator of a measured network; empty where it did not compile whole or its cycles wrapped around."""
    if not measured.complete or measured.cycles is None:
        return pd.DataFrame()
    if measured.ops.op_cycles.max() > _ABSURD or measured.ops.op_cycles.min() < 0:
        return pd.DataFrame()
    ops, _ = assign_scales(lower(graph))
    run = [op for op in ops if op.kind != "INPUT"]
    spent = np.zeros(len(run))
    for source, cycles in zip(measured.ops.source, measured.ops.op_cycles, strict=True):
        spent[int(source or 0)] += cycles
    machine = machine_of(target)
    passes = issue(ops, machine)
    found = features(ops, passes, analyse(machine, passes), machine)
    table = pd.DataFrame(found, columns=[f"f_{f}" for f in FEATURES])
    head = pd.DataFrame(
        {
            "network": name,
            "family": family,
            "op_kind": [op.kind for op in run],
            "cycles": spent.clip(0),
            "share": spent.clip(0) / measured.cycles,
            "network_cycles": measured.cycles,
            "network_macs": graph.macs,
            "peak_bytes": peak_bytes(ops),
            "weight_bytes": sum(_count(op) for op in run),
            "sram_bytes": measured.sram_bytes or 0,
            "dram_bytes": measured.dram_bytes or 0,
        }
    )
    return pd.concat([head, table], axis=1)


def fit(target: EthosU, rows: pd.DataFrame, out: Path) -> Path:
    """Fit the trees on all rows, take the interval from held-out families, and write everything."""
    errors = [np.log2(p / t) for p, t in held_out(rows)[["predicted", "cycles"]].itertuples(index=False)]
    model = latency.train(_matrix(rows), rows.cycles.to_numpy(), rows.share.to_numpy())
    networks = rows.groupby("network").first()
    big = networks[networks.peak_bytes > 0]
    dram = np.linalg.lstsq(
        big[["weight_bytes", "peak_bytes"]].to_numpy(float), big.dram_bytes.to_numpy(float), rcond=None
    )[0]
    facts = {
        "target": target.name,
        "digest": target.digest,
        "compiler": target.compiler,
        "family": target.accelerator.split("-")[1],
        "networks": len(networks),
        "operators": len(rows),
        "interval": latency.residual_interval(errors),
        "sram_over_peak": float((big.sram_bytes / big.peak_bytes).median()),
        "dram": [float(x) for x in dram],
        "kinds": sorted(rows.op_kind.unique()),
    }
    out.mkdir(parents=True, exist_ok=True)
    small = rows.astype({f"f_{name}": "float32" for name in FEATURES})
    _write(small, out / f"{target.name}.parquet")
    write_atomic(out / f"{target.name}.json", (json.dumps(facts, indent=1) + "\n").encode())
    path = out / f"{target.name}.txt"
    write_atomic(path, model.model_to_string().encode())
    latency.load.cache_clear()
    return path


def held_out(rows: pd.DataFrame, folds: int = FOLDS) -> pd.DataFrame:
    """Every real family predicted by trees that never saw it: network, family, cycles, predicted,
    modelled (by the analytic model alone), macs.

    A family is a timm source module; families go to folds in alphabetical order, round robin. Random networks are
    always in training.
    """
    families = sorted(set(rows.family) - {"sample"})
    fold = {family: i % folds for i, family in enumerate(families)}
    number = rows.family.map(fold)
    found = []
    for k in range(min(folds, len(families))):
        train, test = rows[number != k], rows[number == k]
        model = latency.train(_matrix(train), train.cycles.to_numpy(), train.share.to_numpy())
        scored = test.assign(predicted=latency.predict(model, _matrix(test)), modelled=np.exp2(test.f_modelled) - 1)
        found.append(
            scored.groupby("network").agg(
                family=("family", "first"),
                cycles=("network_cycles", "first"),
                predicted=("predicted", "sum"),
                modelled=("modelled", "sum"),
                macs=("network_macs", "first"),
            )
        )
    return pd.concat(found).reset_index()


def _matrix(rows: pd.DataFrame) -> np.ndarray:
    return rows[[f"f_{name}" for name in FEATURES]].to_numpy(np.float32)


def _count(op: HwOp) -> int:
    n = 1
    for d in op.weight or (0,):
        n *= d
    return n


def _write(rows: pd.DataFrame, path: Path) -> None:
    buffer = BytesIO()
    rows.to_parquet(buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())
