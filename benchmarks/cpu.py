"""How well the CPU of this machine is learned from networks its runtime profiled, beside what others do.

    make bench-cpu      about half an hour the first time

onnxruntime-cpu: networks timed as `workbench calibrate onnxruntime-cpu` times them. Families (timm source modules) are
held out as in `devices.py`; every figure is of networks whose family the model never saw.

    again        the same networks timed a second time: no estimate can be better
    ours         from the totals and what the runtime's profiler says of the operators inside
    totals       from the totals alone
    MACs         latency proportional to multiply-accumulates, the factor the median of the training networks'
    kernels      nn-Meter's way: every operator timed alone, a random forest per kind of operator, sums
    operators    a table of those operators timed alone: the nearest one's time, sums
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from devices import Predictor, by_macs, figures, learned, ours, score
from provenance import provenance
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

from workbench.estimators.device import Row, fit_profiled, fit_totals
from workbench.estimators.device.measuring import cache_folder, measure
from workbench.estimators.device.operator_work import work_of
from workbench.files import write_atomic
from workbench.graph import Graph, Op
from workbench.hardware import OnnxRuntimeCpu, Target


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
    timings = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"signature": [], "latency_ms": []})
    quick = OnnxRuntimeCpu(rounds=3, seconds=0.03)
    skip = {"input", "param", "reshape", "batch_norm"}
    operators = {signature(r.graph, op): alone(r.graph, op) for r in rows for op in r.graph.ops if op.kind not in skip}
    order = np.random.default_rng(0).permutation(sorted(operators))[:most]
    todo = [name for name in order if name not in set(timings.signature)]
    for start in range(0, len(todo), 64):
        batch = todo[start : start + 64]
        timed = quick.measure_graphs([operators[name] for name in batch])
        new = pd.DataFrame({"signature": batch, "latency_ms": [m.latency_ms for m in timed]})
        timings = pd.concat([timings, new], ignore_index=True)
        buffer = BytesIO()
        timings.to_parquet(buffer)
        write_atomic(path, buffer.getvalue())
        print(f"\r{start + len(batch)}/{len(todo)} operators", end="", flush=True)
    return timings[timings.signature.isin(order)].dropna()


def kernels(rows: Sequence[Row], timed: pd.DataFrame, make: Callable[[], Any]) -> Predictor:
    """A regressor per class of operator on those timed alone, from networks the model may see; predictions add up."""
    latency = dict(zip(timed.signature, timed.latency_ms, strict=True))
    tables = {}
    for row in rows:
        work = work_of(row.graph)
        latencies = [latency.get(signature(row.graph, row.graph.by_name[name])) for name in work.sources]
        tables[row.name] = work.kind, np.log1p(work.table), latencies

    def predict(rows: Sequence[Row], scored: Sequence[Row]) -> list[float]:
        samples: dict[int, tuple[list[np.ndarray], list[float]]] = {}
        for row in rows:
            for kind, x, y in zip(*tables[row.name], strict=True):
                if y is not None:
                    xs, ys = samples.setdefault(int(kind), ([], []))
                    xs.append(x)
                    ys.append(np.log(y))
        models = {kind: make().fit(np.array(xs), ys) for kind, (xs, ys) in samples.items() if len(ys) >= 3}
        totals = []
        for row in scored:
            kinds, table, _ = tables[row.name]
            groups = [(kind, table[kinds == kind]) for kind in models if (kinds == kind).any()]
            totals.append(sum(float(np.exp(models[kind].predict(x)).sum()) for kind, x in groups))
        return totals

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=192, help="networks to time; half of them teach")
    parser.add_argument("--operators", type=int, default=600, help="operators to time alone")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cpu.txt")
    arguments = parser.parse_args()
    lines = [
        f"python benchmarks/cpu.py {' '.join(sys.argv[1:])}" if sys.argv[1:] else "make bench-cpu",
        provenance("onnxruntime", "scikit-learn"),
        "",
        f"{'families held out':46}{'':10}{'MAPE':>9}{'in 5 %':>10}{'in 10 %':>10}",
        *compared(OnnxRuntimeCpu(), arguments.networks, arguments.operators),
    ]
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


def compared(cpu: OnnxRuntimeCpu, networks: int, operators: int) -> list[str]:
    """A line per way, of networks timed now and once more."""
    lines: list[str] = []
    say = lines.append
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
    result, worst = score(rows, totals, learned(lambda rows: fit_profiled(cpu, rows) or fit_totals(cpu, rows)))
    say(f"{'':46}{'ours':10}{result}")
    say(f"{'':46}{'totals':10}{score(rows, totals, ours(cpu))[0]}")
    say(f"{'':46}{'MACs':10}{score(rows, totals, by_macs)[0]}")
    forest = kernels(rows, timed, lambda: RandomForestRegressor(100, random_state=0, n_jobs=1))
    say(f"{'':46}{'kernels':10}{score(rows, totals, forest)[0]}   {len(timed)} operators timed alone")
    nearest = kernels(rows, timed, lambda: KNeighborsRegressor(1))
    say(f"{'':46}{'operators':10}{score(rows, totals, nearest)[0]}")
    say(f"  {len(real)} networks; worst: " + ", ".join(f"{n} {r - 1:+.0%}" for r, n in worst[:5]))
    return lines


if __name__ == "__main__":
    main()
