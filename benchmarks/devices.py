"""How well a device is learned from whole-network totals, beside what others do with the same data.

    make bench-devices                      the CPU of this machine takes about half an hour the first time
    python benchmarks/devices.py --cpu 0    the blind lab alone

Blind lab: the Vela compiler behind a table of 60 networks' totals, nothing else known of it. CPU: onnxruntime-cpu on
this machine, 120 networks timed; "again" is the same networks timed a second time: no estimate can be better.

The model's classes of operators and its priors were chosen while looking at ethos-u55-128 and ethos-u65-512, operators
and held-out scores both, so their figures flatter it and are marked "seen"; the others are what a new device can
expect.

Families (timm source modules) go to five folds in alphabetical order; every figure is of networks whose family the
model never saw, each time from at most that many totals: other families in turn, random networks for the rest.

    MACs         latency proportional to multiply-accumulates, the factor the median of the training networks'
    kernels      nn-Meter's way: every operator timed alone, a random forest per kind of operator, sums (CPU only)
    operators    a table of those operators timed alone: the nearest one's time, sums (CPU only)
    known        the known accelerator the totals look like, corrected; the compiler that is hidden is among those, so
                 this is what a lab gets that measures such a chip, and "ours" is what any other device gets
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

from workbench.estimators.device import DeviceModel, KnownModel, Row, fit, fit_known
from workbench.estimators.device.measuring import cache_folder, measure
from workbench.estimators.device.work import work_of
from workbench.estimators.measured import DATA, measured
from workbench.estimators.networks import backbone
from workbench.estimators.sampling import sample
from workbench.files import write_atomic
from workbench.graph import Graph, Op
from workbench.graph.document import graph_from_json, graph_to_json
from workbench.targets import EthosU, OnnxRuntimeCpu, Target
from workbench.targets.onnxruntime_cpu import processor

SEEN = ("ethos-u55-128", "ethos-u65-512")  # the model was designed looking at these
BLIND = (*SEEN, "ethos-u85-1024", "ethos-u85-2048")
FOLDS, TOTALS = 5, 60
Predictor = Callable[[Sequence[Row], Sequence[Row]], list[float]]


def folds(rows: Sequence[Row], totals: int) -> list[tuple[list[Row], list[Row]]]:
    """(training, scored) per fold; half of the training networks are backbones, families in turn."""
    families = sorted({row.family for row in rows} - {"sample"})
    random = [row for row in rows if row.family == "sample"]
    found = []
    for k in range(FOLDS):
        scored = [row for row in rows if row.family in families[k::FOLDS]]
        turns: list[tuple[int, str, Row]] = []
        for family in set(families) - set(families[k::FOLDS]):
            turns += [(i, family, row) for i, row in enumerate(r for r in rows if r.family == family)]
        real = [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])][: totals // 2]
        found.append((real + random[: totals - len(real)], scored))
    return found


def figures(ratio: np.ndarray) -> str:
    off = np.abs(ratio - 1)
    return f"{100 * off.mean():7.1f} %{100 * (off <= 0.05).mean():8.0f} %{100 * (off <= 0.10).mean():8.0f} %"


def score(rows: Sequence[Row], totals: int, predict: Predictor) -> tuple[str, list[tuple[float, str]]]:
    ratio, names = [], []
    for known, scored in folds(rows, totals):
        ratio += [p / row.latency_ms for p, row in zip(predict(known, scored), scored, strict=True)]
        names += [row.name for row in scored]
    worst = sorted(zip(ratio, names, strict=True), key=lambda pair: -abs(np.log(pair[0])))
    return figures(np.array(ratio)), worst


def learned(learn: Callable[[Sequence[Row]], DeviceModel | KnownModel]) -> Predictor:
    def predict(rows: Sequence[Row], scored: Sequence[Row]) -> list[float]:
        model = learn(rows)
        return [model.predict(row.graph) for row in scored]

    return predict


def ours(target: Target) -> Predictor:
    return learned(partial(fit, target))


def known(target: Target) -> Predictor:
    return learned(lambda rows: fit_known(target, rows) or fit(target, rows))


def by_macs(known: Sequence[Row], scored: Sequence[Row]) -> list[float]:
    factor = float(np.median([row.latency_ms / row.graph.macs for row in known]))
    return [factor * row.graph.macs for row in scored]


def alone(graph: Graph, op: Op) -> Graph:
    """The operator as a network of its own."""
    inputs = tuple(
        Op(name, "input", (), graph.by_name[name].shape) if graph.by_name[name].kind != "param" else graph.by_name[name]
        for name in dict.fromkeys(op.inputs)
    )
    return Graph((*inputs, replace(op, module="")), (op.name,))


def signature(graph: Graph, op: Op) -> str:
    shapes = [graph.by_name[name].shape for name in op.inputs]
    return repr((op.kind, op.attrs, op.shape, shapes, [p.shape for p in op.params]))


def time_alone(target: Target, rows: Sequence[Row], most: int) -> pd.DataFrame:
    """Up to `most` different operators of the networks timed alone, kept in the user's cache."""
    path = cache_folder(target) / "operators.parquet"
    known = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"signature": [], "latency_ms": []})
    quick = OnnxRuntimeCpu(rounds=3, seconds=0.03)
    skip = {"input", "param", "reshape", "batch_norm"}
    wanted = {signature(r.graph, op): alone(r.graph, op) for r in rows for op in r.graph.ops if op.kind not in skip}
    order = np.random.default_rng(0).permutation(sorted(wanted))[:most]
    todo = [name for name in order if name not in set(known.signature)]
    for start in range(0, len(todo), 64):
        some = todo[start : start + 64]
        timed = quick.measure_graphs([wanted[name] for name in some])
        new = pd.DataFrame({"signature": some, "latency_ms": [m.latency_ms for m in timed]})
        known = pd.concat([known, new], ignore_index=True)
        buffer = BytesIO()
        known.to_parquet(buffer)
        write_atomic(path, buffer.getvalue())
        print(f"\r{start + len(some)}/{len(todo)} operators", end="", flush=True)
    return known[known.signature.isin(order)].dropna()


def kernels(rows: Sequence[Row], timed: pd.DataFrame, make: Callable[[], Any]) -> Predictor:
    """A regressor per class of operator on those timed alone, from networks the model may see; predictions add up."""
    latency = dict(zip(timed.signature, timed.latency_ms, strict=True))
    tables = {}
    for row in rows:
        work = work_of(row.graph)
        seen = [latency.get(signature(row.graph, row.graph.by_name[name])) for name in work.sources]
        tables[row.name] = work.kind, np.log1p(work.table), seen

    def predict(known: Sequence[Row], scored: Sequence[Row]) -> list[float]:
        found: dict[int, tuple[list[np.ndarray], list[float]]] = {}
        for row in known:
            for kind, x, y in zip(*tables[row.name], strict=True):
                if y is not None:
                    xs, ys = found.setdefault(int(kind), ([], []))
                    xs.append(x)
                    ys.append(np.log(y))
        models = {kind: make().fit(np.array(xs), ys) for kind, (xs, ys) in found.items() if len(ys) >= 3}
        totals = []
        for row in scored:
            kinds, table, _ = tables[row.name]
            groups = [(kind, table[kinds == kind]) for kind in models if (kinds == kind).any()]
            totals.append(sum(float(np.exp(models[kind].predict(x)).sum()) for kind, x in groups))
        return totals

    return predict


def graph_of(name: str, folder: Path) -> Graph | None:
    """A calibration network by name; traced ones are kept, tracing takes a second."""
    if name.startswith("sample"):
        return sample(int(name.removeprefix("sample")))
    path = folder / f"{name}.json"
    if path.is_file():
        return graph_from_json(path.read_text(encoding="utf-8"), str(path))
    graph = backbone(name)
    if graph is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, graph_to_json(graph).encode())
    return graph


def blind_rows(name: str, folder: Path) -> list[Row]:
    """The compiler's totals as a lab would hand them over: a name and a latency each."""
    target = EthosU(name)
    table = measured(DATA)
    edited = table.network.str.contains(" ")
    table = table[(table.target == name) & ~table.composed & ~edited]
    rows, random = [], 0
    for network, family, cycles in table[["network", "family", "cycles"]].itertuples(index=False):
        random += family == "sample"
        graph = graph_of(network, folder) if family != "sample" or random <= TOTALS else None
        if graph is not None:
            rows.append(Row(graph, cycles / target.clock_hz * 1e3, network, family))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=BLIND, help="compilers to hide")
    parser.add_argument("--cpu", type=int, default=240, help="networks to time on the CPU (0: none)")
    parser.add_argument("--operators", type=int, default=1500, help="operators to time alone")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "devices.txt")
    arguments = parser.parse_args()
    lines: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    say(f"python benchmarks/devices.py {' '.join(sys.argv[1:])}" if sys.argv[1:] else "make bench-devices")
    say(
        f"{date.today()}, {processor()}, Python {platform.python_version()}, onnxruntime {version('onnxruntime')}, "
        f"vela {version('ethos-u-vela')}, scikit-learn {version('scikit-learn')}"
    )
    say(f"\n{'families held out':56}{'MAPE':>9}{'in 5 %':>10}{'in 10 %':>10}")
    cpu = OnnxRuntimeCpu()
    for name in arguments.targets:
        rows = blind_rows(name, cache_folder(cpu).parent / "graphs")
        result, worst = score(rows, TOTALS, ours(cpu))
        title = f"blind lab, {name}{' (seen)' if name in SEEN else ''}, {TOTALS} totals"
        say(f"{title:46}{'ours':10}{result}")
        say(f"{'':46}{'known':10}{score(rows, TOTALS, known(cpu))[0]}")
        say(f"{'':46}{'MACs':10}{score(rows, TOTALS, by_macs)[0]}")
        scored = sum(row.family != "sample" for row in rows)
        say(f"  {scored} networks; worst: " + ", ".join(f"{n} {r - 1:+.0%}" for r, n in worst[:5]))
    if arguments.cpu:
        measured_on_this_machine(cpu, arguments.cpu, arguments.operators, say)
    if tuple(arguments.targets) == BLIND:
        arguments.out.parent.mkdir(exist_ok=True)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measured_on_this_machine(cpu: OnnxRuntimeCpu, networks: int, operators: int, say: Callable[[str], None]) -> None:
    folder = cache_folder(cpu)

    def report(done: int, total: int, name: str) -> None:
        print(f"\r{done}/{total} {name:40}", end="", flush=True)

    rows = measure(cpu, networks, folder, report)
    again = {row.name: row.latency_ms for row in measure(cpu, networks, folder / "again", report)}
    timed = time_alone(cpu, rows, operators)
    print("\r", end="")
    real = [row for row in rows if row.family != "sample" and row.name in again]
    ceiling = np.array([again[row.name] / row.latency_ms for row in real])
    totals = networks // 2
    title = f"onnxruntime-cpu, {totals} totals"
    say(f"{title:46}{'again':10}{figures(ceiling)}   the ceiling: timed twice")
    result, worst = score(rows, totals, ours(cpu))
    say(f"{'':46}{'ours':10}{result}")
    say(f"{'':46}{'MACs':10}{score(rows, totals, by_macs)[0]}")
    forest = kernels(rows, timed, lambda: RandomForestRegressor(100, random_state=0, n_jobs=1))
    say(f"{'':46}{'kernels':10}{score(rows, totals, forest)[0]}   {len(timed)} operators timed alone")
    nearest = kernels(rows, timed, lambda: KNeighborsRegressor(1))
    say(f"{'':46}{'operators':10}{score(rows, totals, nearest)[0]}")
    say(f"  {len(real)} networks; worst: " + ", ".join(f"{n} {r - 1:+.0%}" for r, n in worst[:5]))


if __name__ == "__main__":
    main()
