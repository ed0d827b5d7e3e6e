"""How far a way of learning a device is from networks of families it did not learn from."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ...graph import Graph
from .row import Row

__all__ = ["Learn", "held_out", "interval_and_errors"]

_FOLDS = 5


class Predictor(Protocol):
    """Predicts milliseconds of one inference."""

    def predict(self, graph: Graph) -> float: ...


Learn = Callable[[Sequence[Row]], Predictor | None]


def interval_and_errors(ratio: np.ndarray) -> tuple[tuple[float, float], tuple[tuple[str, float], ...]]:
    """(low, high) factors that hold 90 % of the networks; mean error, shares within 5 and 10 %, by public name.

    ratio: predicted over measured.
    """
    if not len(ratio):
        return (1.0, 1.0), ()
    off = np.abs(ratio - 1)
    low, high = np.quantile(1 / ratio, [0.05, 0.95])
    errors = {"mape": off.mean(), "within_5": (off <= 0.05).mean(), "within_10": (off <= 0.10).mean()}
    return (min(1.0, float(low)), max(1.0, float(high))), tuple((name, float(v)) for name, v in errors.items())


def held_out(learn: Learn, rows: Sequence[Row], folds: int = _FOLDS) -> np.ndarray:
    """Predicted over measured for every whole network, by a model learned without its family.

    learn: rows -> a model with `predict`, or None, which gives NaN. Families go to folds in alphabetical
    order, round robin; each random network is a family of its own.
    """
    family = [row.family if row.family != "sample" else f"sample/{row.name}" for row in rows]
    number = {name: i % folds for i, name in enumerate(sorted(set(family)))}
    ratio = np.full(len(rows), np.nan)
    for k in range(folds):
        model = learn([row for row, f in zip(rows, family, strict=True) if number[f] != k])
        for i, row in enumerate(rows):
            if model is not None and number[family[i]] == k and not row.part:
                ratio[i] = model.predict(row.graph) / row.latency_ms
    return ratio
