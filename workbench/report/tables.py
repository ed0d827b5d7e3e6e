"""Two states of a network side by side, for people to read."""

import pandas as pd

from ..metrics import DASH, METRICS, change_text, metric_text, points_text
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
    first, last = before.learned_score, after.learned_score
    if first or last:
        change = f"{points_text(last.value - first.value)} points" if first and last else ""
        rows.append(("Score", str(first or DASH), str(last or DASH), change, "trained"))
    return pd.DataFrame(rows, columns=["metric", "before", "after", "change", "figures"]).set_index("metric")
