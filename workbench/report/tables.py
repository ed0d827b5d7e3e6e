"""Two states of a network side by side, for people to read."""

import pandas as pd

from ..metrics import METRICS, change_text, metric_text, points_text
from ..state import State

__all__ = ["compare_table"]


def compare_table(before: State, after: State) -> pd.DataFrame:
    """Two states (or sessions) as a table: one row per metric, values as text with units.

    Columns: before, after, change, figures ("estimated", "counted" for what is exact, "trained" for the scores of
    weights learned for a network as it is).
    """
    old, new = before.figures, after.figures
    rows = [
        (
            metric.label,
            metric_text(name, old[name]),
            metric_text(name, new[name]),
            change_text(old[name], new[name]),
            metric.figures,
        )
        for name, metric in METRICS.items()
    ]
    scores = before.learned_score, after.learned_score
    if any(scores):
        texts = ["unknown" if score is None else str(score) for score in scores]
        change = f"{points_text(scores[1].value - scores[0].value)} points" if scores[0] and scores[1] else ""
        rows.append(("Score", *texts, change, "trained"))
    return pd.DataFrame(rows, columns=["metric", "before", "after", "change", "figures"]).set_index("metric")
