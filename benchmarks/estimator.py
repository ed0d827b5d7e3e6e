"""How far the estimates are from the compiler, on families of networks the trees never saw.

    make bench-estimator

The shipped measurements are split by family (a timm source module): every network is predicted by trees fitted
without its family, five folds in alphabetical order. "Families" counts a family by its mean error. "No trees" is the
analytic model alone; its rules were read off the compiler and checked on these networks, so to it no family is new.
"MACs only" is the rule of thumb everybody starts with: latency proportional to multiply-accumulates, its factor
fitted on the other families. All figures are the compiler's cycle model.
"""

import argparse
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from workbench.estimators import latency
from workbench.estimators.calibrate import held_out

TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-1024", "ethos-u85-2048")


def figures(truth: pd.Series, predicted: pd.Series, family: pd.Series) -> str:
    """One row of the table."""
    error = (predicted / truth - 1).abs()
    by_family = error.groupby(family).mean()
    rank = spearmanr(truth, predicted).statistic
    return (
        f"{100 * error.mean():7.1f} %{100 * (error <= 0.05).mean():8.0f} %{100 * (error <= 0.10).mean():8.0f} %"
        f"{100 * (by_family <= 0.10).mean():10.0f} %{rank:10.3f}"
    )


def by_macs(found: pd.DataFrame) -> pd.Series:
    """Cycles proportional to multiply-accumulates, the factor the median of the other families'."""
    ratio = found.cycles / found.macs
    return pd.Series([m * ratio[found.family != f].median() for m, f in zip(found.macs, found.family, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--worst", type=int, default=5, help="networks to name per target")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "estimator.txt")
    arguments = parser.parse_args()
    lines = [
        "make bench-estimator",
        f"{date.today()}, {platform.machine()}, Python {platform.python_version()}, vela {version('ethos-u-vela')}, "
        f"lightgbm {version('lightgbm')}",
        "",
        f"{'':30}{'MAPE':>9}{'in 5 %':>10}{'in 10 %':>10}{'families':>12}{'Spearman':>10}",
    ]
    print("\n".join(lines))
    for name in arguments.targets:
        rows = pd.read_parquet(latency.DATA / f"{name}.parquet")
        found = held_out(rows)
        found["error"] = np.log2(found.predicted / found.cycles)
        worst = found.reindex(found.error.abs().sort_values(ascending=False).index)[: arguments.worst]
        said = ", ".join(f"{w.network} {w.predicted / w.cycles - 1:+.0%}" for w in worst.itertuples())
        block = [
            f"{name:<20}{'ours':<10}{figures(found.cycles, found.predicted, found.family)}",
            f"{'':20}{'no trees':<10}{figures(found.cycles, found.modelled, found.family)}",
            f"{'':20}{'MACs only':<10}{figures(found.cycles, by_macs(found), found.family)}",
            f"  {len(found)} networks of {found.family.nunique()} families; worst: {said}",
        ]
        print("\n".join(block))
        lines += block
    if tuple(arguments.targets) == TARGETS:
        arguments.out.parent.mkdir(exist_ok=True)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
