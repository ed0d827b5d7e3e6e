"""How well the score of a network is forecast before it is trained, on ledgers of candidates that were trained.

    make bench-forecast                                 minutes; every ledger in benchmarks/ledgers (make bench-ledger)
    make bench-forecast ARGS="--ledger one.parquet"     those that are named
    make bench-forecast ARGS=--ship                     and writes them as the evidence that ships with the package

Each ledger: 20 candidates, drawn over and over, calibrate, all others are held out. Beside the forecast what else might
say it: figures of the ledger, each by the line through the same 20, which gives it its sign, too; ridge on one-hot
choices. Between ledgers: 5 candidates of one calibrate, taught by all others.

    order      Spearman's correlation of what is forecast and what training made, held-out candidates
    best       the same among the quarter of them that training made best
    error      mean distance from the trained score, in points, val
    covered    of 90 % intervals;  width, in points
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from provenance import provenance
from scipy.stats import spearmanr

import workbench as wb
from workbench.files import write_atomic
from workbench.forecast.calibration import calibrate
from workbench.forecast.evidence import COLUMNS, SHIPPED, write_evidence
from workbench.forecast.features import features_of
from workbench.recipe import from_step
from workbench.transforms import compose

HERE = Path(__file__).parent
TARGET = "ethos-u85-1024"  # that ledgers are planned for
CALIBRATING, FEW, SPLITS = 20, 5, 100
STAGES, ANSWERS = ("carried", "fitted"), ("accuracy", "loss", "distance")
# rows to calibrate by, rows held out -> the share of the score that each of these is expected to lose
Forecaster = Callable[[np.ndarray, np.ndarray], np.ndarray]


def evidence_of(ledger: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a ledger as the package keeps them, rows in the ledger's order; scores are of val.

    What the transforms of a row make of the network's graph is planned here, as it was when the ledger was made.
    """
    target, network, pixels = wb.Target.ethos_u(TARGET), ledger.network[0], int(ledger.pixels[0])
    graph = wb.open(network, target=target, input_size=(3, pixels, pixels)).graph
    baselines = ledger[ledger.kind == "baseline"].set_index("seed")
    unedited = baselines.reindex(ledger.seed)  # of each row, that of its seed
    rows = []
    for row, before in zip(ledger.to_dict("records"), unedited.to_dict("records"), strict=True):
        steps = compose([from_step(step) for step in json.loads(row["transforms"])], graph, target)
        after = steps[-1].graph if steps else graph
        features = features_of(graph, after, before["carried_accuracy"], row["carried_distance"])
        labels = {name: row[name] for name in ("task", "graph", "transforms", "seed", "epochs")}
        digests = {"data": row.get("data", row["task"]), "network": baselines.graph.iloc[0]}
        rows.append(labels | digests | asdict(features) | {"pictures": np.nan, "score": row["val_accuracy"]})
    return pd.DataFrame(rows)[list(COLUMNS)]


def lost_of(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows.unedited_score - rows.score, float)


def rivals(ledger: pd.DataFrame, lost: np.ndarray) -> Mapping[str, Forecaster]:
    """What else might say it, by name."""
    scores = pd.DataFrame([json.loads(text) for text in ledger.zero_shot], index=ledger.index)
    figures = {str(name): scores[name] for name in scores}
    figures |= {f"{stage} {name}": ledger[f"{stage}_{name}"] for stage in STAGES for name in ANSWERS}
    if "block_losses" in ledger:
        figures["summed block losses"] = ledger.block_losses
    lines = {name: partial(by_line, np.asarray(values, float), lost) for name, values in figures.items()}
    return {**lines, "ridge on one-hot choices": partial(by_ridge, one_hot(ledger), lost)}


def by_line(values: np.ndarray, lost: np.ndarray, tried: np.ndarray, held: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values, nan=float(np.nanmean(values)))
    if np.ptp(values[tried]) == 0:
        return np.full(len(held), lost[tried].mean())
    return np.polyval(np.polyfit(values[tried], lost[tried], 1), values[held])


def by_ridge(codes: np.ndarray, lost: np.ndarray, tried: np.ndarray, held: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV

    return np.asarray(RidgeCV(np.logspace(-2, 3, 11)).fit(codes[tried], lost[tried]).predict(codes[held]))


def one_hot(ledger: pd.DataFrame) -> np.ndarray:
    """[n, choices]: 1 where a candidate takes a step, whatever else it takes."""
    steps = [{json.dumps(step) for step in json.loads(text)} for text in ledger.transforms]
    every = sorted(set().union(*steps))
    return np.array([[step in taken for step in every] for taken in steps], float)


def splits(count: int, tried: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of the candidates that calibrate and of all others, drawn again and again, the same each time."""
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = rng.permutation(count)
        yield order[:tried], order[tried:]


def order_of(forecast: np.ndarray, lost: np.ndarray) -> float:
    if np.ptp(forecast) == 0 or np.ptp(lost) == 0:
        return 0.0
    return float(spearmanr(forecast, lost).statistic)


def best_of(lost: np.ndarray) -> np.ndarray:
    """Numbers of the quarter that lost least."""
    return np.argsort(lost, kind="stable")[: max(3, len(lost) // 4)]


def judged(name: str, forecaster: Forecaster, lost: np.ndarray, tried: int) -> str:
    orders, bests, errors = [], [], []
    for calibrating, held in splits(len(lost), tried):
        forecast, truth = forecaster(calibrating, held), lost[held]
        best = best_of(truth)
        orders.append(order_of(forecast, truth))
        bests.append(order_of(forecast[best], truth[best]))
        errors.append(np.abs(forecast - truth).mean())
    return f"  {name:<28}{np.mean(orders):>8.3f}{np.mean(bests):>8.3f}{100 * np.mean(errors):>8.2f}"


def intervals(rows: pd.DataFrame, others: pd.DataFrame, tried: int) -> str:
    """Share of held-out candidates within their interval, and its mean width in points."""
    lost, within, widths = lost_of(rows), [], []
    for calibrating, held in splits(len(rows), tried):
        low, high = calibrate(rows.iloc[calibrating], others).interval(rows.iloc[held]).T
        within.append(np.mean((low <= lost[held]) & (lost[held] <= high)))
        widths.append(np.mean(high - low))
    return f"{np.mean(within):>9.1%}{100 * np.mean(widths):>8.1f}"


def ours(rows: pd.DataFrame, others: pd.DataFrame) -> Forecaster:
    return lambda tried, held: calibrate(rows.iloc[tried], others).lost(rows.iloc[held])


def seeds(ledger: pd.DataFrame) -> str:
    """What two seeds of the same candidates agree on."""
    edited = ledger[ledger.kind != "baseline"]
    table = edited.pivot_table(index="graph", columns="seed", values="val_accuracy").dropna()
    if len(table) < 5 or table.shape[1] < 2:
        return "  two seeds: too few candidates have several to say"
    first, second = -table.to_numpy()[:, 0], -table.to_numpy()[:, 1]
    best = best_of(first)
    error = 100 * np.abs(first - first.mean() - (second - second.mean())).mean()
    return f"  {'two seeds':<28}{order_of(first, second):>8.3f}{order_of(first[best], second[best]):>8.3f}{error:>8.2f}"


def flips(ledger: pd.DataFrame) -> Iterator[str]:
    """How far the order of candidates at one stage is that of another, by loss on val."""
    stages = {stage: ledger[f"{stage}_loss"].to_numpy() for stage in (*STAGES, "val")}
    words = {"carried": "as built", "fitted": "fitted", "val": "trained"}
    for before, after in (("carried", "fitted"), ("fitted", "val"), ("carried", "val")):
        first, second = stages[before], stages[after]
        pairs = np.triu_indices(len(first), 1)
        turned = np.subtract(*first[list(pairs)]) * np.subtract(*second[list(pairs)]) < 0
        order = order_of(first, second)
        yield f"  {words[before]} -> {words[after]:<12} order {order:.3f}, {turned.mean():.0%} of pairs turn"


def of_ledger(ledger: pd.DataFrame, rows: pd.DataFrame, others: pd.DataFrame) -> Iterator[str]:
    """rows: the ledger's as evidence; others: those of all other ledgers."""
    first = ((ledger.kind != "baseline") & (ledger.seed == 0)).to_numpy()
    candidates, rows = ledger[first].reset_index(drop=True), rows[first].reset_index(drop=True)
    lost, name = lost_of(rows), " ".join(map(str, ledger.loc[0, ["task", "network", "pixels"]]))
    yield f"{name}: {len(rows)} candidates, {100 * lost.min():+.1f} to {100 * lost.max():.1f} points lost"
    if len(rows) < CALIBRATING + 4:
        yield f"  too few: {CALIBRATING} calibrate"
        return
    yield f"  {f'{CALIBRATING} calibrate':<28}{'order':>8}{'best':>8}{'error':>8}{'covered':>9}{'width':>8}"
    nothing = rows.iloc[:0]
    yield judged("forecast", ours(rows, nothing), lost, CALIBRATING) + intervals(rows, nothing, CALIBRATING)
    yield seeds(ledger)
    yield from (judged(label, rival, lost, CALIBRATING) for label, rival in rivals(candidates, lost).items())
    if len(others):
        yield f"  {FEW} calibrate, taught by {others.task.nunique()} other tasks"
        yield judged("forecast", ours(rows, others), lost, FEW) + intervals(rows, others, FEW)
        yield judged("not taught", ours(rows, nothing), lost, FEW) + intervals(rows, nothing, FEW)
    yield from flips(candidates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ledger", type=Path, nargs="*", help="Parquet files; those in ledgers/ where not given")
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED.name}, which ships with the package")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "forecast.txt")
    options = parser.parse_args()
    files = options.ledger or sorted((HERE / "ledgers").glob("*.parquet"))
    ledgers = [pd.read_parquet(file) for file in files]
    evidence = [evidence_of(ledger) for ledger in ledgers]
    if options.ship:
        write_evidence(pd.concat(evidence, ignore_index=True).dropna(subset="unedited_score"), SHIPPED)
    lines = ["make bench-forecast", provenance("torch", "timm", "scikit-learn")]
    print("\n".join(lines))
    for number, (ledger, rows) in enumerate(zip(ledgers, evidence, strict=True)):
        rest = [other for i, other in enumerate(evidence) if i != number]
        others = pd.concat(rest, ignore_index=True) if rest else rows.iloc[:0]
        lines.append("")
        for line in of_ledger(ledger, rows, others):
            lines.append(line)
            print(line, flush=True)
    write_atomic(options.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
