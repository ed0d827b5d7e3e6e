"""Which candidate to pay for next, of a table of them: prices known for all, values paid for one by one.

The hybrid search asks the same functions; here they run on any table, so that they can be judged on tables whose truth
is known (`make bench-search`).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..errors import InputError
from .fronts import expected_improvement, front
from .surrogate import PRIOR, Pool, Surrogate, covariance, fit, predict

__all__ = ["explore_table", "first_rows", "next_row"]

REFIT = 5  # evaluations between two fits of the surrogate; in between it only learns the new values
DESIGN_POOL = 1_000  # candidates that the first ones are chosen from: more change nothing but the time
SPREAD = 2.0  # weight of a price's distance from the one a first candidate should have, against what its value tells


def explore_table(
    candidates: pd.DataFrame, price: np.ndarray, judge: Callable[[int], float], evaluations: int, seed: int
) -> list[int]:
    """The rows worth paying for, in the order they were paid for; no row twice.

    The first few spread over choices and prices. Each further one is the row that is expected to add most to the
    hypervolume of the front of price and value, by a Gaussian process that learns from the values so far.

    candidates: a row a candidate, a column a slot; columns of numbers are scales, others names; a column of many
    different numbers is a figure that may tell of the value, such as a score without training. price: [rows], less is
    better, known for all. judge: value of a row by its number, more is better; called once a row. evaluations: how many
    rows to pay for, all of them where there are fewer. seed: of the first rows' draw.

    >>> table = pd.DataFrame({"width": [16, 32, 48, 64] * 2, "kind": ["dense"] * 4 + ["depthwise"] * 4})
    >>> price = np.array([2.0, 4.0, 6.0, 8.0, 1.0, 2.0, 3.0, 4.0])
    >>> rows = explore_table(table, price, judge=lambda row: float(table["width"][row]), evaluations=5, seed=0)
    >>> len(rows), 7 in rows  # the widest of the cheap kind
    (5, True)

    Raises `InputError` where prices or values are not finite numbers, or none is to be paid for.
    """
    price = np.asarray(price, float)
    if price.shape != (len(candidates),) or not np.all(np.isfinite(price)):
        raise InputError(f"price must hold a finite number for each of the {len(candidates)} rows, has {price.shape}")
    if evaluations < 1 or not len(candidates):
        raise InputError(f"{evaluations} evaluations of {len(candidates)} rows: there must be one of each at least")
    pool = Pool.of(candidates, price)
    count = min(evaluations, len(candidates))
    rows = first_rows(pool, price, count, seed)
    values = [_value(judge, row) for row in rows]
    surrogate: Surrogate | None = None
    while len(rows) < count:
        if surrogate is None or len(rows) % REFIT == 0:
            surrogate = fit(pool, np.array(rows), np.array(values), surrogate)
        row = next_row(pool, price, np.array(rows), np.array(values), surrogate)
        rows.append(row)
        values.append(_value(judge, row))
    return rows


def first_rows(pool: Pool, price: np.ndarray, evaluations: int, seed: int) -> list[int]:
    """The rows that begin a search of so many evaluations: the cheapest, then those whose values tell most of all rows.

    Each lowers the variance of all rows most, by the surrogate's prior (Sacks et al. 1989, "Design and analysis of
    computer experiments": integrated mean square error), near a price drawn so that the ranks of the prices are even.
    Rows unlike all others are not among them, whose choices tell of few.
    """
    rng = np.random.default_rng(seed)
    total, columns = pool.codes.shape
    count = min(max(4, min(evaluations // 3, columns - pool.slots + 2)), evaluations, total)
    cheapest = int(np.argmin(price))
    drawn = rng.choice(total, min(total, DESIGN_POOL), replace=False)
    drawn = np.append(cheapest, drawn[drawn != cheapest])
    rank = np.argsort(np.argsort(price[drawn], kind="stable"), kind="stable") / max(1, len(drawn) - 1)
    left = covariance(pool, drawn, drawn, PRIOR[:, 0])  # of the values of the rows drawn, given those of `places`
    noise = 4 * np.exp(PRIOR[4, 0])
    places = [0]
    left -= np.outer(left[0], left[0]) / (left[0, 0] + noise)
    for quantile in rng.permutation((np.arange(count - 1) + 0.5) / max(1, count - 1)):
        gain = np.log((left**2).sum(0) / (np.diag(left) + noise) + 1e-12)
        score = gain - SPREAD * np.abs(rank - quantile)
        score[places] = -np.inf
        if np.isneginf(score.max()):
            break
        place = int(np.argmax(score))
        places.append(place)
        left -= np.outer(left[place], left[place]) / (left[place, place] + noise)
    return drawn[places].tolist()


def next_row(pool: Pool, price: np.ndarray, rows: np.ndarray, values: np.ndarray, surrogate: Surrogate) -> int:
    """The row, none of `rows`, that is expected to add most to the front of those paid for."""
    others = np.setdiff1d(np.arange(len(price)), rows)
    scaled, mean, deviation = predict(pool, rows, values, surrogate, others)
    steps = front(price[rows], scaled)
    gain = expected_improvement(
        price[others], mean, deviation, (price[rows][steps], scaled[steps]), least=float(scaled.min())
    )
    return int(others[np.argmax(gain)])


def _value(judge: Callable[[int], float], row: int) -> float:
    value = float(judge(row))
    if not np.isfinite(value):
        raise InputError(f"judge({row}) gave {value}: a value must be a finite number")
    return value
