"""Bring the model's figures in the shipped tables of measured networks up to date; nothing is compiled.

    python tools/remodel.py

After a change of the model or of lowering: a row keeps what was measured and gets what the model says of it today, and
the intervals follow. A row whose configuration or network is not made any more is told and left as it is.
"""

import sys

import pandas as pd

from workbench.estimators.calibration_networks import backbone
from workbench.estimators.cycle_model import modelled
from workbench.estimators.ethos_u_calibration import random_configuration
from workbench.estimators.measured_networks import DATA, write_rows
from workbench.estimators.random_networks import sample
from workbench.graph import Graph
from workbench.hardware import ETHOS_U, EthosU


def graph_of(network: str) -> Graph | None:
    return sample(int(network.removeprefix("sample"))) if network.startswith("sample") else backbone(network)


def target_of(network: str, target: str, digest: str) -> EthosU | None:
    """The configuration of a row: an accelerator as it is shipped, or the one drawn for the network."""
    candidates = [EthosU(target)] if target in ETHOS_U else [random_configuration(network)]
    return next((candidate for candidate in candidates if candidate.digest == digest), None)


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
                target = target_of(network, str(row.target), str(row.digest))
                if graph is None or target is None:
                    print(f"\n{path.name}: {network} on {row.target} is left as it is", file=sys.stderr)
                    continue
                model = modelled(graph, target)
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
