"""Bring the model's figures in the shipped tables of measured networks up to date; nothing is compiled.

    python tools/remodel.py

After a change of the model or of lowering: a row keeps what was measured and gets what the model says of it today, and
the intervals follow. A row whose configuration or network is not made any more is told and left as it is.
"""

import ast
import sys
from typing import Any

import pandas as pd

from workbench.errors import InputError
from workbench.estimators.calibration_networks import backbone
from workbench.estimators.cycle_model import modelled
from workbench.estimators.measured_networks import DATA, write_rows
from workbench.estimators.random_networks import sample
from workbench.graph import Graph, rewrite
from workbench.hardware import EthosU
from workbench.transforms import TRANSFORMS


def graph_of(network: str) -> Graph | None:
    """The network of a row, unedited: a backbone of timm, or a random one. network: its name, and an edit behind it."""
    name = network.partition(" ")[0]
    return sample(int(name.removeprefix("sample"))) if name.startswith("sample") else backbone(name)


def edited(graph: Graph, network: str, target: EthosU) -> Graph:
    """The network after the edit that its name says, such as "resnet18 DenseDepthwise(blocks='layer1.0')"."""
    call = network.partition(" ")[2]
    if not call:
        return graph
    expression = ast.parse(call, mode="eval").body
    assert isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name), call
    options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in expression.keywords}
    return rewrite(graph, TRANSFORMS[expression.func.id].from_dict(options).plan(graph, target))


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


def main() -> None:
    tables = {path: pd.read_parquet(path) for path in sorted(DATA.glob("*.parquet"))}
    networks = sorted({network for table in tables.values() for network in table.network})
    changed = dict.fromkeys(tables, 0)
    for number, network in enumerate(networks, 1):
        print(f"\r{number}/{len(networks)} {network:40s}", end="", file=sys.stderr, flush=True)
        graph = graph_of(network)
        for path, table in tables.items():
            for index in table.index[table.network == network]:
                row = table.loc[index]
                target = target_of(str(row.target), str(row.digest))
                if graph is None or target is None:
                    print(f"\n{path.name}: {network} on {row.target} is left as it is", file=sys.stderr)
                    continue
                model = modelled(edited(graph, network, target), target)
                figures = {
                    "composed": model.composed,
                    "modelled": sum(model.cycles),
                    "modelled_sram_bytes": model.sram_bytes,
                    "modelled_dram_bytes": model.dram_bytes,
                }
                changed[path] += any(row[name] != figure for name, figure in figures.items())
                for name, figure in figures.items():
                    table.loc[index, name] = figure
    for path, table in tables.items():
        if changed[path]:
            write_rows(table, path)
            print(f"\n{path.name}: {changed[path]} of {len(table)} rows changed", end="", file=sys.stderr)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
