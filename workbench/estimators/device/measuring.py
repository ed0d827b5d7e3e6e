"""Rows to learn a device from: timed on the spot, or read from a lab's table; and the networks a lab is given.

What was timed is kept in the user's cache (it belongs to this machine), one Parquet file per configuration:

    <cache>/workbench/devices/<digest>/measured.parquet     name, family, graph, latency_ms, rounds_ms, nodes

nodes: what the runtime's profiler said of it, if it has one, as JSON.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path

import pandas as pd

from ...errors import InputError, UnknownName
from ...files import home, write_atomic
from ...graph import Graph
from ...graph.json_document import graph_to_json
from ...hardware import Measurement, OnnxRuntimeCpu, TableTarget, Target
from ...hardware.onnx_file import write_onnx
from ...hardware.tflite import write_tflite
from ..networks import FAMILIES, backbone, calibration_networks
from .model import Row
from .profile import Node

__all__ = ["cache_folder", "emit", "measure", "rows_of_table"]

Report = Callable[[int, int, str], None]
_TOGETHER = 8  # measured in turn, and kept together
_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names.split()}


def cache_folder(target: Target) -> Path:
    """Where this machine's measurements and model of a configuration live."""
    return home() / "devices" / target.digest


def measure(target: Target, networks: int, folder: Path, report: Report | None = None) -> list[Row]:
    """Time the first `networks` calibration networks on the target; what `folder` already holds is not timed again.

    report(done, networks, name) is called after every network. Networks the target refuses are left out.
    """
    path = folder / "measured.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    known = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=["name", "graph"])
    latency = dict(zip(known.name, known.get("latency_ms", ()), strict=True))
    nodes = {name: _read_nodes(text) for name, text in zip(known.name, known.get("nodes", ()), strict=False)}
    digests = dict(zip(known.name, known.graph, strict=True))
    rows, done = [], 0
    waiting = calibration_networks(networks)
    while some := list(islice(waiting, _TOGETHER)):
        graphs = [(name, family, make()) for name, family, make in some]
        new = [(n, f, g) for n, f, g in graphs if g is not None and digests.get(n) != g.digest]
        timed = {}
        for (name, family, built), measured in zip(new, _timed(target, [g for _, _, g in new]), strict=True):
            latency[name] = measured.latency_ms if measured.complete else None
            profile = json.dumps(_profile(measured))
            nodes[name] = _read_nodes(profile)
            timed[name] = {
                "name": name, "family": family, "graph": built.digest, "latency_ms": measured.latency_ms,
                "rounds_ms": list(measured.rounds_ms), "status": measured.status, "nodes": profile,
            }  # fmt: skip
        if timed:
            known = pd.concat([known[~known.name.isin(list(timed))], pd.DataFrame(timed.values())], ignore_index=True)
            buffer = BytesIO()
            known.to_parquet(buffer)
            write_atomic(path, buffer.getvalue())
        for name, family, graph in graphs:
            done += 1
            if graph is not None and pd.notna(latency.get(name)):
                rows.append(Row(graph, float(latency[name]), name, family, nodes=nodes.get(name, ())))
            if report is not None:
                report(done, networks, name)
    return rows


def _profile(measured: Measurement) -> list[list[object]]:
    """The nodes of a runtime that has a profiler."""
    columns = ["source", "kind", "latency_ms"]
    found: list[list[object]] = []
    if set(columns) <= set(measured.ops.columns):
        found = measured.ops[columns].to_numpy().tolist()
    return found


def _read_nodes(text: object) -> tuple[Node, ...]:
    """Nothing where a file of an earlier version has no profile."""
    said = json.loads(text) if isinstance(text, str) else []
    return tuple((str(source), str(kind), float(ms)) for source, kind, ms in said)


def rows_of_table(target: TableTarget) -> list[Row]:
    """The rows of a lab's table with their graphs: emitted ones from beside it, else timm's by name.

    Raises InputError for a name that is neither.
    """
    table = target.rows
    graphs: dict[str, Graph] = {}
    rows = []
    columns = (table[name].tolist() for name in ("name", "family", "part", "latency_ms"))
    for name, family, part, latency in zip(*columns, strict=True):
        if name not in graphs:
            graphs[name] = target.graph_of(name) or _by_name(name, target)
        family = family or _FAMILY_OF.get(name, "sample" if name.startswith("sample") else name)
        rows.append(Row(graphs[name], latency, name, family, part))
    return rows


def emit(networks: int, folder: Path, report: Report | None = None) -> Path:
    """Write the networks a lab should measure (ONNX, int8 TFLite), and the table it fills in; returns the table.

    networks/NAME.onnx, .tflite    what to run             networks/NAME.json    which graph it is
    latencies.csv                  what to fill in         README.md             how
    """
    if networks < 1:
        raise InputError(f"{networks} networks to emit; it must be at least 1 (60 make a good model)")
    table = folder / "latencies.csv"
    if table.exists():
        raise InputError(f"{str(table)!r} is there already; emit into a new folder, or move it away")
    (folder / "networks").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for done, (name, family, graph) in enumerate(islice(_usable(), networks), 1):
        path = folder / "networks" / name
        write_atomic(path.with_name(f"{name}.onnx"), write_onnx(graph))
        write_atomic(path.with_name(f"{name}.tflite"), write_tflite(graph).data)
        write_atomic(path.with_name(f"{name}.json"), graph_to_json(graph).encode())
        rows.append({"name": name, "family": family, "latency_ms": ""})
        if report is not None:
            report(done, networks, name)
    write_atomic(folder / "README.md", _README.format(networks=networks, table=table.name).encode())
    return write_atomic(table, pd.DataFrame(rows).to_csv(index=False).encode())


def _usable() -> Iterator[tuple[str, str, Graph]]:
    """Families in turn, a random network after each; those without a file form are passed over."""
    for name, family, make in calibration_networks(10_000):
        graph = make()
        if graph is not None:
            yield name, family, graph


def _timed(target: Target, graphs: Sequence[Graph]) -> list[Measurement]:
    if isinstance(target, OnnxRuntimeCpu):
        return list(target.measure_graphs(graphs))
    return [target.measure_graph(graph) for graph in graphs]


def _by_name(name: str, target: TableTarget) -> Graph:
    try:
        graph = backbone(name)
    except UnknownName as error:
        raise InputError(f"{target.path}: no networks/{name}.json beside the table, and {error}") from None
    if graph is None:
        raise InputError(f"{target.path}: the network {name!r} has operators the workbench cannot price; leave it out")
    return graph


_README = """# Networks to measure

1. Run each of the {networks} files in `networks/` on the device, batch 1: the `.tflite` files (int8) or the `.onnx`
   files (float32), whichever it takes, but one kind for all. Weights are random; times do not depend on them on most
   devices.
2. Write the latency of one inference, in milliseconds, into the column `latency_ms` of `{table}`. To use another unit,
   rename the column to `latency_us` or `latency_s`. Leave a network that does not run empty. A network measured twice
   is two rows.
3. More rows help: networks of your own by their timm name, or parts of a network (a column `part` with a module path
   such as `blocks.1`, or an operator's name from a profiler).
4. `workbench calibrate table:{table}`, then use `table:{table}` wherever a target is asked for.

Keep the `.json` files: they say which network a name means.
"""
