"""How much of the best front a search pays for: ours beside its peers, on tables whose every value is known.

    make bench-search
    make bench-search ARGS="--seeds 3 --peers ridge random"

NAS-Bench-Macro (Su et al. 2021, "Prioritized architecture sampling with Monto-Carlo tree search"): 6,561 networks of
eight blocks, each skipped or an inverted bottleneck of two sizes, all trained on CIFAR-10 by three seeds. FLOPs are
known of all, a network's accuracy (mean of its seeds) is paid for; the hypervolume's reference is the largest FLOPs and
80 %. The file is looked for in `../shared/data` and in $NAS_BENCH_MACRO; anyone gets it from
github.com/xiusu/NAS-Bench-Macro.

`drawn ledgers` are what a local search has: 60 of these networks, drawn, of which 15 are paid for, each judged by one
seed of training; the hypervolume is that of the mean of three. Peers are asked as often as ours; where one proposes a
network again, that counts as asked.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from provenance import provenance
from sklearn.linear_model import Ridge

from workbench.files import write_atomic
from workbench.search import explore_table
from workbench.search.fronts import front, hypervolume

HERE = Path(__file__).parent
TABLE = Path(os.environ.get("NAS_BENCH_MACRO", HERE.parents[1] / "shared" / "data" / "nas-bench-macro-cifar10.json"))
BUDGETS = (65, 131)
LEAST = 80.0  # per cent

Judge = Callable[[int], float]
Search = Callable[[pd.DataFrame, np.ndarray, Judge, int, int], list[int]]


def macro() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """(candidates, FLOPs, accuracies of three seeds in per cent [rows, 3])."""
    table = json.loads(TABLE.read_text())
    keys = sorted(table)
    candidates = pd.DataFrame([list(key) for key in keys], columns=[f"block {number}" for number in range(8)])
    flops = np.array([table[key]["flops"] for key in keys], float)
    return candidates, flops, np.array([table[key]["test_acc"] for key in keys])


def draw(candidates: pd.DataFrame, price: np.ndarray, judge: Judge, evaluations: int, seed: int) -> list[int]:
    """Random search, no row twice."""
    return list(np.random.default_rng(seed).permutation(len(candidates))[:evaluations])


def ridge(candidates: pd.DataFrame, price: np.ndarray, judge: Judge, evaluations: int, seed: int) -> list[int]:
    """The forty-line baseline: a third drawn, then again and again the front of predicted value and known price."""
    codes = pd.get_dummies(candidates.astype(str)).to_numpy(float)
    rows = draw(candidates, price, judge, max(2, evaluations // 3), seed)
    values = [judge(row) for row in rows]
    while len(rows) < evaluations:
        expected = Ridge(1.0).fit(codes[rows], values).predict(codes)
        others = np.setdiff1d(np.arange(len(candidates)), rows)
        best = others[front(price[others], expected[others])]
        count = min(8, evaluations - len(rows))
        for row in best[np.unique(np.linspace(0, len(best) - 1, count).round().astype(int))]:
            rows.append(int(row))
            values.append(judge(int(row)))
    return rows


def evolution(candidates: pd.DataFrame, price: np.ndarray, judge: Judge, evaluations: int, seed: int) -> list[int]:
    """Regularised evolution (Real et al. 2019) of 20, its tournaments of 5 won by what adds most hypervolume."""
    rng = np.random.default_rng(seed)
    table = candidates.astype(str).to_numpy()
    number = {tuple(row): i for i, row in enumerate(table)}
    rows = draw(candidates, price, judge, min(20, evaluations), seed)
    values = {row: judge(row) for row in rows}
    population = list(rows)
    while len(rows) < evaluations:
        drawn = rng.choice(population, 5)
        everyone = np.array(population)
        worth = np.array([values[row] for row in population])
        least = min(values.values())

        def added(row: int, everyone: np.ndarray = everyone, worth: np.ndarray = worth, least: float = least) -> float:
            others = everyone != row
            return -hypervolume(price[everyone[others]], worth[others], price.max(), least)

        child = table[max(drawn, key=added)].copy()
        slot = rng.integers(table.shape[1])
        child[slot] = rng.choice(np.unique(table[:, slot]))
        row = number.get(tuple(child))
        if row is None:
            continue
        rows.append(row)
        values[row] = judge(row)
        population = [*population[1:], row]
    return rows


def sampled(sampler: Callable[[int], optuna.samplers.BaseSampler]) -> Search:
    """Optuna's, with the price as its second objective."""

    def search(candidates: pd.DataFrame, price: np.ndarray, judge: Judge, evaluations: int, seed: int) -> list[int]:
        table = candidates.astype(str)
        number = {tuple(row): i for i, row in enumerate(table.to_numpy())}
        rows: list[int] = []

        def objective(trial: optuna.Trial) -> tuple[float, float]:
            choice = tuple(trial.suggest_categorical(str(name), sorted(table[name].unique())) for name in table)
            if choice not in number:  # a ledger holds a part of the space
                raise optuna.TrialPruned
            rows.append(number[choice])
            return judge(rows[-1]), price[rows[-1]]

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler(seed))
        study.optimize(objective, n_trials=evaluations)
        return rows

    return search


SEARCHES: dict[str, Search] = {
    "ours": explore_table,
    "ridge": ridge,
    "evolution": evolution,
    "TPE": sampled(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "NSGA-II": sampled(lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20)),
    "GP": sampled(lambda seed: optuna.samplers.GPSampler(seed=seed)),
    "random": draw,
}


def whole(name: str, seeds: int) -> str:
    """A line of the table: shares of the hypervolume at both budgets, distinct rows, seconds."""
    candidates, price, runs = macro()
    values = runs.mean(1)
    best = hypervolume(price, values, price.max(), LEAST)
    shares, distinct = np.zeros((seeds, len(BUDGETS))), np.zeros(seeds)
    started = time.process_time()
    for seed in range(seeds):
        rows = SEARCHES[name](candidates, price, lambda row: float(values[row]), BUDGETS[-1], seed)
        shares[seed] = [hypervolume(price[rows[:n]], values[rows[:n]], price.max(), LEAST) / best for n in BUDGETS]
        distinct[seed] = len(set(rows)) / len(rows)
    mean, worst = shares.mean(0), shares.min(0)
    figures = "".join(f"{m:>8.4f}{w:>9.4f}" for m, w in zip(mean, worst, strict=True))
    seconds = (time.process_time() - started) / seeds
    return f"{name:<12}{figures}{distinct.mean():>11.0%}{seconds:>9.1f} s   {seeds} seeds"


def ledgers(name: str, draws: int) -> str:
    """A line: the mean share of a drawn ledger's hypervolume at a quarter of its rows, and the worst."""
    candidates, price, runs = macro()
    shares = []
    for number in range(draws):
        kept = np.random.default_rng([7, number]).permutation(len(candidates))[:60]
        table, cost, judged = candidates.iloc[kept].reset_index(drop=True), price[kept], runs[kept, number % 3]
        rows = SEARCHES[name](table, cost, lambda row, judged=judged: float(judged[row]), 15, number)  # type: ignore[misc]
        truth = runs[kept].mean(1)
        least = truth.min()
        shares.append(
            hypervolume(cost[rows], truth[rows], cost.max(), least) / hypervolume(cost, truth, cost.max(), least)
        )
    error = np.std(shares, ddof=1) / np.sqrt(draws)
    return f"{name:<12}{np.mean(shares):>8.4f} ± {1.96 * error:.4f}{min(shares):>9.4f}   {draws} ledgers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--ledgers", type=int, default=60)
    parser.add_argument("--peers", nargs="*", default=list(SEARCHES), choices=SEARCHES)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "search.txt")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lines = ["make bench-search", provenance("optuna", "scikit-learn"), ""]  # fmt: skip
    lines += [
        "NAS-Bench-Macro, accuracy x FLOPs: share of the hypervolume of all 6,561",
        f"{'':<12}{f'at {BUDGETS[0]}':>8}{'worst':>9}{f'at {BUDGETS[1]}':>8}{'worst':>9}{'distinct':>11}{'CPU':>11}",
    ]
    print("\n".join(lines), flush=True)
    for name in arguments.peers:
        # a run of Optuna's Gaussian process takes minutes
        lines.append(whole(name, min(arguments.seeds, 3) if name == "GP" else arguments.seeds))
        print(lines[-1], flush=True)
    lines += ["", "drawn ledgers: 15 of 60 paid for", f"{'':<12}{'mean':>8}{'95 %':>9}{'worst':>9}"]
    print("\n".join(lines[-3:]), flush=True)
    for name in arguments.peers:
        if name in ("ours", "ridge", "random"):  # the others propose networks that the ledger does not hold
            lines.append(ledgers(name, arguments.ledgers))
            print(lines[-1], flush=True)
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
