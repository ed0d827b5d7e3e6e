"""What each choice brought: its share in the accuracy of the trained candidates, and in their cost.

    n, F       trained candidates; choices that some of them take, "as it is" aside
    x[n, F]    1 where candidate n takes the choice
    y[n]       accuracy, minus that of the unedited network
    b[F]       what a choice adds: Bayesian ridge, b ~ Normal(0, 1 / L), y ~ Normal(b0 + x b, 1 / A); A and L by
               evidence (MacKay 1992, "Bayesian interpolation"); the interval is of 95 %

Choices are taken to add up. Where a choice was always taken together with another the two share what they bring, and
the interval says so.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..space import Space
from .row import Row

__all__ = ["effects"]


def effects(rows: Sequence[Row], space: Space, cost: str) -> pd.DataFrame:
    """One row a choice, those that cost the least accuracy for what they gain first.

    Columns: block ("" for the network), choice, candidates (trained ones that take it), accuracy (share it adds), low,
    high (its interval), and the change of the cost, by its name (mean that it adds, by least squares).
    """
    trained = [row for row in rows if row.trained]
    taken = sorted({(s, k) for row in trained for s, k in enumerate(row.choices) if k})
    columns = ["block", "choice", "candidates", "accuracy", "low", "high", cost]
    if len(trained) < 3 or not taken:
        return pd.DataFrame(columns=columns)
    from sklearn.linear_model import BayesianRidge, Ridge

    x = np.array([[float(row.choices[s] == k) for s, k in taken] for row in trained])
    model = BayesianRidge().fit(x, [row.accuracy for row in trained])
    half = 1.96 * np.sqrt(np.diag(model.sigma_))
    price = Ridge(1e-3).fit(x, [row.costs[cost] for row in trained]).coef_
    table = pd.DataFrame(
        {
            "block": [space.slots[s].block for s, _ in taken],
            "choice": [space.slots[s].choices[k].label for s, k in taken],
            "candidates": x.sum(0).astype(int),
            "accuracy": model.coef_,
            "low": model.coef_ - half,
            "high": model.coef_ + half,
            cost: price,
        }
    )
    return table.sort_values("accuracy", ascending=False, ignore_index=True)
