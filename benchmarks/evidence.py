"""Searches and zero-shot scores on ledgers of candidates that were really trained (`make bench-ledger`).

    make bench-evidence
    make bench-evidence ARGS="--ledgers clothing-mobilenetv2_100-96.parquet --seeds 5"

search      a quarter of a ledger's candidates is paid for; the share of the hypervolume of all of them (trained
            accuracy on val x estimated latency on each target; reference: the slowest, and the least accurate). A table
            of candidates has a column a block: what is done to it; and one for what is done to the network. `features`
            adds what is known of every candidate before it is trained: parameters, multiply-accumulates, its loss once
            it is fitted, the zero-shot aggregate. The order in which a search asks is drawn anew with each seed;
            the figures are means over seeds, +- 95 %, on one ledger: they say nothing of the draw of its candidates.
zero-shot   Spearman's correlation of scores of the untrained candidates with their accuracy trained (test), over all
            and in the better half by accuracy; `together` is the aggregate, whose make-up was chosen on the
            ledger of clothing
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from provenance import provenance
from search import SEARCHES

from workbench.files import write_atomic
from workbench.search import explore_table, rank_together
from workbench.search.fronts import hypervolume

HERE = Path(__file__).parent
PEERS = ("ours", "ridge", "random")  # the others propose networks that a ledger does not hold
SHARE = 0.25


def choices(ledger: pd.DataFrame) -> pd.DataFrame:
    """A row a candidate, a column a block: what is done to it, in the ledger's order."""
    rows = []
    for text in ledger.transforms:
        row: dict[str, list[str]] = {}
        for step in json.loads(text):
            blocks = str(step.get("blocks", ""))
            row.setdefault(blocks if blocks.startswith("blocks.") else "network", []).append(json.dumps(step))
        rows.append({slot: "; ".join(steps) for slot, steps in row.items()})
    return pd.DataFrame(rows).fillna("as it is").sort_index(axis=1)


def searched(ledger: pd.DataFrame, seeds: int) -> Iterator[str]:
    """A line a search and target."""
    table, accuracy = choices(ledger), ledger.val_accuracy.to_numpy()
    figures = ledger[["params", "macs", "fitted_loss"]].apply(np.log)
    scores = pd.DataFrame([json.loads(text) for text in ledger.zero_shot])
    features = pd.concat([table, figures, rank_together(scores)], axis=1)
    count = round(SHARE * len(ledger))
    yield f"{'':<28}" + "".join(f"{name:>16}" for name in ("ours", "features", *PEERS[1:]))
    for column in (str(name) for name in ledger if str(name).startswith("latency_ms/")):
        price = ledger[column].to_numpy()
        best = hypervolume(price, accuracy, price.max(), accuracy.min())
        shares = []
        for search, candidates in ((explore_table, table), (explore_table, features), *(
            (SEARCHES[name], table) for name in PEERS[1:]
        )):  # fmt: skip
            each = []
            for seed in range(seeds):
                rows = search(candidates, price, lambda row: float(accuracy[row]), count, seed)
                each.append(hypervolume(price[rows], accuracy[rows], price.max(), accuracy.min()) / best)
            error = np.std(each, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
            shares.append(f"{np.mean(each):.3f} ± {1.96 * error:.3f}")
        yield f"{column.removeprefix('latency_ms/'):<28}" + "".join(f"{share:>16}" for share in shares)


def zero_shot(ledger: pd.DataFrame) -> Iterator[str]:
    """A line a score, best first."""
    scores = pd.DataFrame([json.loads(text) for text in ledger.zero_shot])
    scores["together"] = rank_together(scores).to_numpy()
    scores[["params", "macs"]] = ledger[["params", "macs"]].to_numpy()
    better = (ledger.test_accuracy >= ledger.test_accuracy.median()).to_numpy()
    rows = {
        name: (
            float(scores[name].corr(ledger.test_accuracy, method="spearman")),
            float(scores[name][better].corr(ledger.test_accuracy[better], method="spearman")),
        )
        for name in scores
    }
    yield f"{'':<28}{'all':>12}{'better half':>12}"
    for name, (overall, upper) in sorted(rows.items(), key=lambda row: -row[1][0]):
        yield f"{name:<28}{overall:>12.3f}{upper:>12.3f}"


def noise(ledger: pd.DataFrame) -> str:
    """What two seeds of the same candidates agree on."""
    pairs = ledger.pivot_table(index="graph", columns="seed", values="test_accuracy").dropna()
    if len(pairs) < 3 or pairs.shape[1] < 2:
        return "no candidate was trained with several seeds yet"
    deviation = 100 * float(pairs.std(axis=1, ddof=1).mean())
    agreement = float(pairs.iloc[:, 0].corr(pairs.iloc[:, 1], method="spearman"))
    return f"{len(pairs)} candidates of {pairs.shape[1]} seeds: {deviation:.1f} points apart, Spearman {agreement:.3f}"


def report(file: Path, seeds: int) -> Iterator[str]:
    """All lines of a ledger."""
    whole = pd.read_parquet(file)
    ledger = whole[whole.seed == 0].reset_index(drop=True)
    spread = 100 * ledger.test_accuracy
    yield f"{file.stem}: {len(ledger)} candidates, test {spread.min():.1f} to {spread.max():.1f} %, " + ", ".join(
        f"{count} {kind}" for kind, count in ledger.kind.value_counts().items()
    )
    yield noise(whole)
    yield f"search, {round(SHARE * len(ledger))} of {len(ledger)} paid for, {seeds} seeds"
    yield from searched(ledger, seeds)
    yield "zero-shot"
    yield from zero_shot(ledger)
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledgers", nargs="*", type=Path, default=sorted((HERE / "ledgers").glob("*.parquet")))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "evidence.txt")
    arguments = parser.parse_args()
    lines = ["make bench-evidence", provenance("torch", "timm", "scikit-learn"), ""]
    for file in arguments.ledgers:
        lines += report(file, arguments.seeds)
    print("\n".join(lines))
    write_atomic(arguments.out, ("\n".join(lines).rstrip() + "\n").encode())


if __name__ == "__main__":
    main()
