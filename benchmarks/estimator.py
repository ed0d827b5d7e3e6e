"""How far the estimates are from the compiler on whole networks, beside other ways to predict them.

    make bench-estimator

Networks are timm's backbones as they ship with the package's measurements, by family (a timm source module);
everything that is fitted is fitted without the family it predicts. Those with attention or layer norms, which the
compiler takes without a CPU, have lines of their own.

    ours             the analytic model: nothing is fitted to these networks; its rules were read off the compiler
    MACs             latency proportional to multiply-accumulates, the factor the median of the other families'
    isolated         every operator compiled alone, looked up, added up (the compiler measures it exactly, alone)
    nn-Meter's way   a random forest for every kind of operator, on operators compiled alone (MobiSys 2021)

The last two need every distinct operator compiled, so they are shown on one target (`--peers`, some ten minutes; kept
in the work folder). All figures are the compiler's cycle model.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from provenance import provenance
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

from workbench.estimators.calibration_networks import calibration_networks
from workbench.estimators.edit_window import cut
from workbench.estimators.measured_networks import DATA, read_rows
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.hardware import ETHOS_U, EthosU
from workbench.hardware.lowering import HwOp, lower

HERE = Path(__file__).parent
PEERS_ON = "ethos-u65-512"
HEAD = f"{'':36}{'MAPE':>9}{'in 5 %':>10}{'in 10 %':>10}{'families':>12}{'Spearman':>10}"


def figures(truth: pd.Series, predicted: pd.Series, family: pd.Series) -> str:
    """One row of the table."""
    error = (predicted / truth - 1).abs()
    by_family = error.groupby(family).mean()
    rank = spearmanr(truth, predicted).statistic
    return (
        f"{100 * error.mean():7.1f} %{100 * (error <= 0.05).mean():8.0f} %{100 * (error <= 0.10).mean():8.0f} %"
        f"{100 * (by_family <= 0.10).mean():10.0f} %{rank:10.3f}"
    )


def by_macs(rows: pd.DataFrame) -> pd.Series:
    """Cycles proportional to multiply-accumulates, the factor the median of the other families'."""
    ratio = rows.cycles / rows.macs
    factor = [ratio[rows.family != family].median() for family in rows.family]
    return rows.macs * pd.Series(factor, rows.index)


def kernels_of(graph: Graph) -> list[tuple[HwOp, Graph, str]]:
    """Every deployed operator, as a network of its own, and what it is in words (equal for equal ones)."""
    place = {op.name: i for i, op in enumerate(graph.ops)}
    kernels = []
    for op in lower(graph):
        if op.kind in ("INPUT", "PAD", "RESHAPE"):
            continue
        at = sorted(place[name] for name in op.sources)
        inputs = [graph.by_name[name].shape for name in graph.ops[at[0]].inputs]
        words = f"{op.kind}{op.shape}{op.weight}{op.groups}{op.stride}{op.act}{inputs}"
        kernels.append((op, cut(graph, at[0], at[-1] + 1), words))
    return kernels


def isolated(graph: Graph, target: EthosU, cycles_of: dict[str, float]) -> list[tuple[HwOp, float]]:
    """Operators with the cycles the compiler gives them alone (NaN where it refuses)."""
    timed = []
    for op, alone, words in kernels_of(graph):
        if words not in cycles_of:
            cycles_of[words] = float(target.measure_graph(alone).cycles or np.nan)
        timed.append((op, cycles_of[words]))
    return timed


def features(op: HwOp) -> list[float]:
    """nn-Meter's: sizes of the operator."""
    h, w = op.shape[1:3] if len(op.shape) == 4 else (1, 1)
    inner = op.weight[-1] if op.weight else op.shape[-1]
    weights = float(np.prod(op.weight)) if op.weight else 0.0
    return [h, w, inner, op.shape[-1], op.kernel[0], op.stride[0], op.groups, float(op.macs), weights, op.elements]


def nn_meter(kernels: Mapping[str, Sequence[tuple[HwOp, float]]], family: Mapping[str, str]) -> dict[str, float]:
    """Cycles of every network from forests that never saw an operator of its family's networks."""
    totals = {}
    for held in sorted(set(family.values())):
        by_kind: dict[str, list[tuple[HwOp, float]]] = {}
        for network, ops in kernels.items():
            if family[network] != held:
                for op, cycles in ops:
                    if cycles > 0:
                        by_kind.setdefault(op.kind, []).append((op, cycles))
        forests = {}
        for kind, ops in by_kind.items():
            forest = RandomForestRegressor(40, random_state=0, n_jobs=1)
            forests[kind] = forest.fit([features(op) for op, _ in ops], np.log([cycles for _, cycles in ops]))
        for network, ops in kernels.items():
            if family[network] == held:
                totals[network] = sum(
                    float(np.exp(forests[op.kind].predict([features(op)])[0])) for op, _ in ops if op.kind in forests
                )
    return totals


def peers(rows: pd.DataFrame, work: Path) -> list[str]:
    """The two ways that start from operators alone."""
    target = EthosU(PEERS_ON)
    path = work / "isolated.json"
    cycles_of: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    kernels: dict[str, list[tuple[HwOp, float]]] = {}
    for network, _, make in calibration_networks(400):
        if network not in set(rows.network):
            continue
        graph = make()
        if graph is not None:
            kernels[network] = isolated(graph, target, cycles_of)
            work.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(cycles_of).encode())
            print(f"\r{len(kernels)} networks, {len(cycles_of)} operators", end="", flush=True)
    print()
    rows = rows[rows.network.isin(kernels)]
    added = rows.network.map({name: sum(c for _, c in ops if c == c) for name, ops in kernels.items()})
    forest = rows.network.map(nn_meter(kernels, dict(zip(rows.network, rows.family, strict=True))))
    return [
        f"{'':20}{'isolated':<16}{figures(rows.cycles, added, rows.family)}",
        f"{'':20}{'nn-Meter way':<16}{figures(rows.cycles, forest, rows.family)}",
    ]


def about(rows: pd.DataFrame, worst: int) -> str:
    """How many networks, and those that are most off."""
    error = (rows.modelled / rows.cycles - 1).sort_values(key=abs, ascending=False)
    networks = ", ".join(f"{rows.network[i]} {error[i]:+.1%}" for i in error.index[:worst])
    return f"{len(rows)} networks of {rows.family.nunique()} families; worst: {networks}"


def memory(rows: pd.DataFrame) -> str:
    """Share of networks whose bytes are within 5 %, where there are any."""
    shares = []
    for column in ("sram_bytes", "dram_bytes"):
        using = rows[rows[column] > 0]
        if len(using):
            error = (using[f"modelled_{column}"] / using[column] - 1).abs()
            shares.append(f"{column} within 5 %: {100 * (error <= 0.05).mean():.1f} %")
    return ", ".join(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worst", type=int, default=3, help="networks to name per target")
    parser.add_argument("--peers", action="store_true", help="compile operators alone, too")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "estimator")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "estimator.txt")
    arguments = parser.parse_args()
    lines = [
        "make bench-estimator",
        provenance("ethos-u-vela"),
        "",
        HEAD,
    ]
    rows = read_rows(DATA)
    rows = rows[rows.family != "sample"]
    for name in ETHOS_U:
        on_target = rows[rows.target == name]
        mine, attention = on_target[~on_target.composed], on_target[on_target.composed]
        lines += [
            f"{name:<20}{'ours':<16}{figures(mine.cycles, mine.modelled, mine.family)}",
            f"{'':20}{'MACs':<16}{figures(mine.cycles, by_macs(mine), mine.family)}",
        ]
        if arguments.peers and name == PEERS_ON:
            lines += peers(mine, arguments.work)
        lines += [f"  {about(mine, arguments.worst)}", f"  {memory(mine)}"]
        lines += [
            f"{'':20}{'ours, attention':<16}{figures(attention.cycles, attention.modelled, attention.family)}",
            f"  {about(attention, arguments.worst)}",
        ]
    print("\n".join(lines))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
