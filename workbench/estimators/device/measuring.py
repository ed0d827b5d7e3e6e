"""Calibration networks timed on this machine.

Times are kept in the user's folder (they belong to this machine), one Parquet file per configuration:

    <user's folder>/devices/<digest>/measured.parquet     name, family, graph, latency_ms, rounds_ms, status, nodes

latency_ms: milliseconds, empty where the target refused. nodes: of the runtime's profiler, if it has one, as JSON.
"""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path

import pandas as pd

from ...files import home, write_atomic
from ...graph import Graph
from ...hardware import Measurement, OnnxRuntimeCpu, Target
from ..calibration_networks import calibration_networks
from .row import Row
from .runtime_profile import Node

__all__ = ["Report", "cache_folder", "measure"]

Report = Callable[[int, int, str], None]
_TOGETHER = 8  # measured in turn, and kept together


def cache_folder(target: Target) -> Path:
    """Where this machine's measurements and model of a configuration live."""
    return home() / "devices" / target.digest


def measure(target: Target, networks: int, folder: Path, report: Report | None = None) -> list[Row]:
    """Time the first `networks` calibration networks on the target; those `folder` already holds are not timed again.

    report(count, networks, name) is called after every network. Networks the target refuses are left out.
    """
    path = folder / "measured.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=["name", "graph"])
    rows, count = [], 0
    waiting = calibration_networks(networks)
    while batch := list(islice(waiting, _TOGETHER)):
        graphs = [(name, family, build()) for name, family, build in batch]
        digests = dict(zip(table.name, table.graph, strict=True))
        new = [(name, family, g) for name, family, g in graphs if g is not None and digests.get(name) != g.digest]
        if new:
            timed = _table(target, new)
            table = pd.concat([table[~table.name.isin(timed.name)], timed], ignore_index=True)
            buffer = BytesIO()
            table.to_parquet(buffer)
            write_atomic(path, buffer.getvalue())
        latency = dict(zip(table.name, table.get("latency_ms", ()), strict=True))
        nodes = dict(zip(table.name, table.get("nodes", ()), strict=False))
        for name, family, graph in graphs:
            count += 1
            if graph is not None and pd.notna(latency.get(name)):
                rows.append(Row(graph, float(latency[name]), name, family, nodes=_read_nodes(nodes.get(name))))
            if report is not None:
                report(count, networks, name)
    return rows


def _table(target: Target, networks: Sequence[tuple[str, str, Graph]]) -> pd.DataFrame:
    """The networks timed on the target, one row each."""
    measurements = _timed(target, [graph for _, _, graph in networks])
    return pd.DataFrame(
        {
            "name": name, "family": family, "graph": graph.digest,
            "latency_ms": measured.latency_ms if measured.complete else None,
            "rounds_ms": list(measured.rounds_ms), "status": measured.status, "nodes": json.dumps(_profile(measured)),
        }
        for (name, family, graph), measured in zip(networks, measurements, strict=True)
    )  # fmt: skip


def _profile(measured: Measurement) -> list[list[object]]:
    """The nodes of a runtime that has a profiler, as `Node`s; nothing for others."""
    columns = ["source", "kind", "latency_ms"]
    if not set(columns) <= set(measured.ops.columns):
        return []
    nodes: list[list[object]] = measured.ops[columns].to_numpy().tolist()
    return nodes


def _read_nodes(text: object) -> tuple[Node, ...]:
    """Nothing where a file of an earlier version has no profile."""
    nodes = json.loads(text) if isinstance(text, str) else []
    return tuple((str(source), str(kind), float(ms)) for source, kind, ms in nodes)


def _timed(target: Target, graphs: Sequence[Graph]) -> list[Measurement]:
    if isinstance(target, OnnxRuntimeCpu):
        return list(target.measure_graphs(graphs))
    return [target.measure_graph(graph) for graph in graphs]
