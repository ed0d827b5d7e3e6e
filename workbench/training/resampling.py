"""Intervals that hold a figure of all pictures like these with 95 %: Wilson's of a share, the bootstrap's of the rest.

    n          pictures of a part
    r          resamples: n pictures drawn with replacement from the part, the same draws each time
    times      int[r, n], how often each picture is in each resample
    statistic  times -> float[r], the figure of each resample

Wilson 1927, Probable inference, equation for p; Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13
(percentiles). Two networks judged on the same pictures are compared in the same resamples, so that what makes a picture
hard for both of them cancels out.
"""

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["LEVEL", "Interval", "bootstrap", "resamples", "wilson"]

Interval = tuple[float, float]  # low, high
Statistic = Callable[[np.ndarray], np.ndarray]

LEVEL = 0.95
_Z = 1.959963984540054  # of the normal distribution, two-sided
_RESAMPLES = 500
_AT_ONCE = 1 << 20  # entries of `times`


def wilson(successes: float, count: int) -> Interval:
    """The interval of a share.

    >>> [round(bound, 3) for bound in wilson(351, 359)]
    [0.957, 0.989]
    >>> wilson(10, 10)[1]
    1.0
    """
    share, z2 = successes / count, _Z**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * np.sqrt(share * (1 - share) / count + z2 / (4 * count))
    # the ends of the range are exact: rounding must not put a bound inside them
    low = 0.0 if successes == 0 else float(middle - half)
    return low, 1.0 if successes == count else float(middle + half)


def bootstrap(statistic: Statistic, pictures: int) -> Interval:
    """The percentile interval of a statistic of so many pictures."""
    values = np.concatenate([statistic(times) for times in resamples(pictures)])
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def resamples(pictures: int) -> Iterator[np.ndarray]:
    """`times` of all resamples, some rows at a time; a function of the number of pictures alone."""
    random = np.random.default_rng(0)
    rows = max(1, min(_RESAMPLES, _AT_ONCE // pictures))
    for start in range(0, _RESAMPLES, rows):
        drawn = random.integers(0, pictures, (min(rows, _RESAMPLES - start), pictures))
        offsets = np.arange(len(drawn))[:, None] * pictures
        yield np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape)
