"""Trained candidates beside each other: which are on the front, which differ, and whether the front still moves.

Candidates are judged on the same pictures, so two of them differ where the paired interval of their difference leaves
out 0 (`Score.against`); without what each picture got, where neither's interval holds the other's accuracy.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ..estimators import Budgets
from ..metrics import points_text
from ..training import Difference, Score
from .row import Row

__all__ = ["ScoreOf", "differ", "difference_text", "excess", "front_rows", "front_table", "settled"]

ScoreOf = Callable[[Row], Score | None]  # on the part for validation; None where its file is not at hand
CONTROLS = ("unedited", "twin", "random")


def excess(costs: Mapping[str, float], budgets: Budgets) -> dict[str, float]:
    """By how much of each budget the costs exceed it; at most 0 where it is met."""
    figures = {
        "latency_ms": costs["latency_ms"],
        "sram_kib": costs["sram_bytes"] / 1024,
        "model_kib": costs["weight_bytes"] / 1024,
    }
    limits = {name: getattr(budgets, name) for name in figures}
    return {name: figures[name] / limit - 1 for name, limit in limits.items() if limit is not None}


def front_rows(rows: Sequence[Row], costs: Sequence[str], budgets: Budgets) -> list[Row]:
    """Trained candidates within the budgets that no other beats in one objective and equals in the others.

    By rising cost, the first of `costs` first; of equals the first.
    """
    trained = [row for row in rows if row.trained and all(e <= 1e-9 for e in excess(row.costs, budgets).values())]
    points = np.array([[*(row.costs[name] for name in costs), -row.accuracy] for row in trained])
    kept = []
    for place, point in enumerate(points):
        no_worse = (points <= point).all(1)
        better = no_worse & (points < point).any(1)
        equal_before = no_worse[:place] & ~better[:place]
        if not better.any() and not equal_before.any():
            kept.append(trained[place])
    return sorted(kept, key=lambda row: (*(row.costs[name] for name in costs), row.number))


def difference(row: Row, other: Row, score_of: ScoreOf) -> Difference | None:
    """The accuracy of one minus the other's, paired; None where what each picture got is not at hand."""
    own, its = score_of(row), score_of(other)
    return None if own is None or its is None else own.against(its)


def differ(row: Row, other: Row, score_of: ScoreOf) -> bool:
    """Whether the pictures tell the accuracies of two trained candidates apart."""
    paired = difference(row, other, score_of)
    if paired is not None:
        return paired.significant
    return not (
        other.result["low"] <= row.accuracy <= other.result["high"]
        or row.result["low"] <= other.accuracy <= row.result["high"]
    )


def difference_text(row: Row, other: Row, score_of: ScoreOf) -> str:
    """In points, after "no difference" where the pictures show none."""
    paired = difference(row, other, score_of)
    if paired is not None:
        return paired.text
    text = f"{points_text(row.accuracy - other.accuracy)} points"
    return text if differ(row, other, score_of) else f"no difference: {text}"


def front_table(front: Sequence[Row], unedited: Row | None, score_of: ScoreOf) -> pd.DataFrame:
    """A row a candidate of the front, by rising cost; see `Study.front` for the columns."""
    table = []
    for place, row in enumerate(front):
        cheaper = front[:place]
        equal = next((other for other in cheaper if not differ(row, other, score_of)), None)
        table.append(
            {
                "trial": row.number,
                "accuracy": row.accuracy,
                "low": row.result["low"],
                "high": row.result["high"],
                "same_as": None if equal is None else equal.number,
                "difference": difference_text(row, cheaper[-1], score_of) if cheaper else "",
                "against_unedited": difference_text(row, unedited, score_of)
                if unedited is not None and unedited.trained and row is not unedited
                else "",
                **row.costs,
                **{f"test_{name}": row.test.get(name, float("nan")) for name in ("accuracy", "low", "high")},
                "kind": row.kind,
            }
        )
    names = ["trial", "accuracy", "low", "high", "same_as", "difference", "against_unedited"]
    frame = pd.DataFrame(table) if table else pd.DataFrame(columns=names)
    return frame.astype({"same_as": "Int64"}).set_index("trial")


def settled(rows: Sequence[Row], costs: Sequence[str], patience: int, score_of: ScoreOf) -> bool:
    """Whether none of the last `patience` candidates, controls aside, moved the front by more than the noise.

    A candidate moves it where it is cheaper than all before it, or differs from the best of those no dearer, upwards.
    """
    trained = sorted((row for row in rows if row.trained), key=lambda row: row.result["place"])
    last = [row for row in trained if row.kind not in CONTROLS][-patience:]
    return len(last) == patience and not any(_moves(row, trained, costs, score_of) for row in last)


def _moves(row: Row, trained: Sequence[Row], costs: Sequence[str], score_of: ScoreOf) -> bool:
    no_dearer = [
        other
        for other in trained
        if other.result["place"] < row.result["place"] and all(other.costs[name] <= row.costs[name] for name in costs)
    ]
    if not no_dearer:
        return True
    best = max(no_dearer, key=lambda other: other.accuracy)
    return row.accuracy > best.accuracy and differ(row, best, score_of)
