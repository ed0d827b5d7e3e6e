"""Bring the shipped tables of measured networks up to date, after a change of the model or of lowering.

    python tools/remodel.py         about a quarter of an hour on two cores

A row gets what the model says of it today, and the intervals follow. Where that changed and is far from what was
measured, the network is lowered otherwise than when it was compiled, and is compiled again. A row whose configuration
or network is not made any more is told and left as it is.
"""

import ast
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.errors import InputError, NotApplicable
from workbench.estimators.calibration_networks import backbone
from workbench.estimators.cycle_model import modelled
from workbench.estimators.measured_networks import DATA, row_of, write_rows
from workbench.estimators.random_networks import sample
from workbench.graph import Graph, rewrite
from workbench.hardware import EthosU
from workbench.transforms import TRANSFORMS

NEAR = 0.01  # of the measured cycles: a row whose model is as near is not compiled again
MEASURED = ("macs", "cycles", "sram_bytes", "dram_bytes")


def graph_of(network: str) -> Graph | None:
    """The network of a row, unedited: a backbone of timm, or a random one. network: its name, and an edit behind it."""
    name = network.partition(" ")[0]
    return sample(int(name.removeprefix("sample"))) if name.startswith("sample") else backbone(name)


def edited(graph: Graph, network: str, target: EthosU) -> Graph | None:
    """The network after the edit that its name says, such as "resnet18 DenseDepthwise(blocks='layer1.0')"; None where
    it does not apply any more.
    """
    call = network.partition(" ")[2]
    if not call:
        return graph
    expression = ast.parse(call, mode="eval").body
    assert isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name), call
    options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in expression.keywords}
    try:
        return rewrite(graph, TRANSFORMS[expression.func.id].from_dict(options).plan(graph, target))
    except NotApplicable:
        return None


def target_of(described: str, digest: str) -> EthosU | None:
    """The configuration of a row, such as "ethos-u85-128 (memory_mode=Shared_Sram, arena_bytes=1048576)"."""
    accelerator, _, options = described.removesuffix(")").partition(" (")
    pairs = dict(option.split("=", 1) for option in options.split(", ") if option)
    values: dict[str, Any] = {name: int(text) if text.isdecimal() else text for name, text in pairs.items()}
    try:
        target = EthosU.with_options(accelerator, **values)
    except InputError:
        return None
    return target if target.digest == digest else None


Row = tuple[Path, int, dict[str, Any]]  # table, index, figures that change


def rows_of(network: str, rows: list[tuple[Path, int, dict[str, Any]]]) -> list[Row]:
    """What changes in the rows of a network, and a line about each row that is left as it is."""
    graph, changes = graph_of(network), []
    for path, index, row in rows:
        target = target_of(str(row["target"]), str(row["digest"]))
        after = None if graph is None or target is None else edited(graph, network, target)
        if target is None or after is None:
            print(f"\n{path.name}: {network} on {row['target']} is left as it is", file=sys.stderr)
            continue
        model = modelled(after, target)
        figures = {
            "composed": model.composed,
            "modelled": float(sum(model.cycles)),
            "modelled_sram_bytes": model.sram_bytes,
            "modelled_dram_bytes": model.dram_bytes,
        }
        if all(row[name] == figure for name, figure in figures.items()):
            continue
        if abs(figures["modelled"] / row["cycles"] - 1) > NEAR:
            again = row_of(network, str(row["family"]), after, target, target.measure_graph(after), model)
            figures |= {name: again[name] for name in MEASURED} if again else {}
        changes.append((path, index, figures))
    return changes


def main() -> None:
    tables = {path: pd.read_parquet(path) for path in sorted(DATA.glob("*.parquet"))}
    rows: dict[str, list[Row]] = {}
    for path, table in tables.items():
        for index, row in enumerate(table.to_dict("records")):
            rows.setdefault(row["network"], []).append((path, index, {str(k): v for k, v in row.items()}))
    changed = dict.fromkeys(tables, 0)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(rows_of, network, rows[network]): network for network in sorted(rows)}
        for number, future in enumerate(as_completed(futures), 1):
            print(f"\r{number}/{len(rows)} {futures[future]:60.60s}", end="", file=sys.stderr, flush=True)
            for path, index, figures in future.result():
                changed[path] += 1
                for name, figure in figures.items():
                    tables[path].loc[index, name] = figure
    for path, table in tables.items():
        if changed[path]:
            write_rows(table, path)
            print(f"\n{path.name}: {changed[path]} of {len(table)} rows changed", end="", file=sys.stderr)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
