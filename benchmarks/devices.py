"""How well a device is learned from whole-network totals, beside what others do with the same data.

    make bench-devices

Blind lab: the Vela compiler behind a table of 60 networks' totals, nothing else known of it. A real device, whose
runtime has a profiler: `cpu.py`.

The model's classes of operators and its priors were chosen while looking at ethos-u55-128 and ethos-u65-512, operators
and held-out scores both, so their figures flatter it and are marked "seen"; the others are what a new device can
expect.

Families (timm source modules) go to five folds in alphabetical order; every figure is of networks whose family the
model never saw, each time from at most that many totals: other families in turn, random networks for the rest.

    MACs         latency proportional to multiply-accumulates, the factor the median of the training networks'
    known        the known accelerator the totals look like, corrected; the compiler that is hidden is among those, so
                 this is what a lab gets that measures such a chip, and "ours" is what any other device gets
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from provenance import provenance

from workbench.estimators.calibration_networks import backbone
from workbench.estimators.device import AcceleratorModel, ProfiledModel, Row, TotalsModel, fit_accelerator, fit_totals
from workbench.estimators.device.measuring import cache_folder
from workbench.estimators.measured_networks import DATA, read_rows
from workbench.estimators.random_networks import sample
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.graph.json_document import graph_from_json, graph_to_json
from workbench.hardware import EthosU, OnnxRuntimeCpu, Target

SEEN = ("ethos-u55-128", "ethos-u65-512")  # the model was designed looking at these
BLIND = (*SEEN, "ethos-u85-1024", "ethos-u85-2048")
FOLDS, TOTALS = 5, 60
Predictor = Callable[[Sequence[Row], Sequence[Row]], list[float]]


def folds(rows: Sequence[Row], totals: int) -> list[tuple[list[Row], list[Row]]]:
    """(training, scored) per fold; half of the training networks are backbones, families in turn."""
    families = sorted({row.family for row in rows} - {"sample"})
    random = [row for row in rows if row.family == "sample"]
    pairs = []
    for k in range(FOLDS):
        scored = [row for row in rows if row.family in families[k::FOLDS]]
        turns: list[tuple[int, str, Row]] = []
        for family in set(families) - set(families[k::FOLDS]):
            turns += [(i, family, row) for i, row in enumerate(r for r in rows if r.family == family)]
        real = [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])][: totals // 2]
        pairs.append((real + random[: totals - len(real)], scored))
    return pairs


def figures(ratio: np.ndarray) -> str:
    off = np.abs(ratio - 1)
    return f"{100 * off.mean():7.1f} %{100 * (off <= 0.05).mean():8.0f} %{100 * (off <= 0.10).mean():8.0f} %"


def score(rows: Sequence[Row], totals: int, predict: Predictor) -> tuple[str, list[tuple[float, str]]]:
    ratio, names = [], []
    for training, scored in folds(rows, totals):
        ratio += [p / row.latency_ms for p, row in zip(predict(training, scored), scored, strict=True)]
        names += [row.name for row in scored]
    worst = sorted(zip(ratio, names, strict=True), key=lambda pair: -abs(np.log(pair[0])))
    return figures(np.array(ratio)), worst


def learned(learn: Callable[[Sequence[Row]], TotalsModel | AcceleratorModel | ProfiledModel]) -> Predictor:
    def predict(rows: Sequence[Row], scored: Sequence[Row]) -> list[float]:
        model = learn(rows)
        return [model.predict(row.graph) for row in scored]

    return predict


def ours(target: Target) -> Predictor:
    return learned(partial(fit_totals, target))


def known_accelerator(target: Target) -> Predictor:
    return learned(lambda rows: fit_accelerator(target, rows) or fit_totals(target, rows))


def by_macs(training: Sequence[Row], scored: Sequence[Row]) -> list[float]:
    factor = float(np.median([row.latency_ms / row.graph.macs for row in training]))
    return [factor * row.graph.macs for row in scored]


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
    table = read_rows(DATA)
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
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "devices.txt")
    arguments = parser.parse_args()
    lines: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    say(f"python benchmarks/devices.py {' '.join(sys.argv[1:])}" if sys.argv[1:] else "make bench-devices")
    say(provenance("onnxruntime", "ethos-u-vela", "scikit-learn"))
    say(f"\n{'families held out':56}{'MAPE':>9}{'in 5 %':>10}{'in 10 %':>10}")
    cpu = OnnxRuntimeCpu()
    for name in arguments.targets:
        rows = blind_rows(name, cache_folder(cpu).parent / "graphs")
        result, worst = score(rows, TOTALS, ours(cpu))
        title = f"blind lab, {name}{' (seen)' if name in SEEN else ''}, {TOTALS} totals"
        say(f"{title:46}{'ours':10}{result}")
        say(f"{'':46}{'known':10}{score(rows, TOTALS, known_accelerator(cpu))[0]}")
        say(f"{'':46}{'MACs':10}{score(rows, TOTALS, by_macs)[0]}")
        scored = sum(row.family != "sample" for row in rows)
        say(f"  {scored} networks; worst: " + ", ".join(f"{n} {r - 1:+.0%}" for r, n in worst[:5]))
    if tuple(arguments.targets) == BLIND:
        arguments.out.parent.mkdir(exist_ok=True)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
