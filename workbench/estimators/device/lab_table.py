"""A lab's table: the networks a lab is given to measure, and the rows it comes back with."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from ...errors import InputError, UnknownName
from ...files import write_atomic
from ...graph import Graph
from ...graph.json_document import graph_to_json
from ...hardware import TableTarget
from ...hardware.onnx_file import write_onnx
from ...hardware.tflite import write_tflite
from ..calibration_networks import FAMILIES, backbone, calibration_networks
from .measuring import Report
from .row import Row

__all__ = ["emit", "rows_of_table"]

_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names.split()}


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
    for count, (name, family, graph) in enumerate(islice(_usable(), networks), 1):
        path = folder / "networks" / name
        write_atomic(path.with_name(f"{name}.onnx"), write_onnx(graph))
        write_atomic(path.with_name(f"{name}.tflite"), write_tflite(graph).data)
        write_atomic(path.with_name(f"{name}.json"), graph_to_json(graph).encode())
        rows.append({"name": name, "family": family, "latency_ms": ""})
        if report is not None:
            report(count, networks, name)
    write_atomic(folder / "README.md", _README.format(networks=networks, table=table.name).encode())
    return write_atomic(table, pd.DataFrame(rows).to_csv(index=False).encode())


def _usable() -> Iterator[tuple[str, str, Graph]]:
    """Families in turn, a random network after each; those without a file form are passed over."""
    for name, family, make in calibration_networks(10_000):
        graph = make()
        if graph is not None:
            yield name, family, graph


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
