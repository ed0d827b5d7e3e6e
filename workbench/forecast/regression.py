"""The score a network will lose in training, regressed on its damages: ridge towards a prior, slopes never negative.

    n, p      trained candidates, damages of each (`features.py`)
    u[n, p]   damages
    y[n]      share of the score that training left lost
    w[n]      log(y + c), as large losses scatter more; beyond y = d a line goes on as the logarithm did, so that what
              was never tried is not forecast to lose without bounds
    b[p + 1]  intercept and slopes; slopes >= 0: more damage never forecasts less loss
    m[p + 1]  prior mean of b: what other tasks taught
    s[p + 1]  size of each damage (`features.SIZES`); 1 of the intercept
    k         strength of the prior, in candidates

    b = argmin |w - [1 u] b|^2 + k |s (b - m)|^2,  slopes >= 0          (non-negative least squares)

k is the one of a few whose leave-one-out errors are smallest. Of a new network, x = [1 u]:

    w in  x b  +-  t r sqrt(1 + h),   h = x (X'X + k S^2)^-1 x'      t: Student's quantile

r is the root of the mean square of the leave-one-out errors, each over its own sqrt(1 + h), and of what is known of
errors before,

wider the fewer candidates there are and the farther x is from them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t as student

__all__ = ["Prior", "Regression", "regress"]

LEVEL = 0.90
_OFFSET = 0.1  # c: of the score; no training gains more
_STRAIGHT = 0.3  # d
_ERROR = 0.2  # r where nothing is known: two hundredths of the score around no loss
_FEWEST = 3  # candidates from which on leaving one out says something
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
_SHIFT = 50.0  # makes an intercept positive, as non-negative least squares wants it


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known before a task's own candidates: mean [p + 1]; error: of a forecast by it alone, on the scale of w;
    weight: in candidates, how sure that error is. size: s [p + 1].
    """

    mean: np.ndarray
    error: float
    weight: float
    size: np.ndarray

    @classmethod
    def none(cls, size: np.ndarray) -> "Prior":
        """Where no other task taught anything: nothing is lost, and no damage is known to matter. size: [p]."""
        return cls(np.array([np.log(_OFFSET), *np.zeros(len(size))]), _ERROR, 1.0, np.array([1.0, *size]))


@dataclass(frozen=True, eq=False)
class Regression:
    """coefficients: b [p + 1]. error: r. degrees: of freedom of it. covariance: (X'X + k S^2)^-1."""

    coefficients: np.ndarray
    error: float
    degrees: float
    covariance: np.ndarray

    def lost(self, damages: np.ndarray) -> np.ndarray:
        """Share of the score expected to be lost [n], of networks with these damages [n, p]."""
        return _unscaled(_with_one(damages) @ self.coefficients)

    def interval(self, damages: np.ndarray, level: float = LEVEL) -> np.ndarray:
        """[n, 2]: the lost share is between these with a probability of `level`."""
        x = _with_one(damages)
        half = student.ppf((1 + level) / 2, self.degrees) * self.error
        half = half * np.sqrt(1 + np.einsum("ij,jk,ik->i", x, self.covariance, x))
        middle = x @ self.coefficients
        return _unscaled(np.column_stack([middle - half, middle + half]))

    def miss(self, damages: np.ndarray, lost: np.ndarray) -> float:
        """Root of the mean square error on candidates it was not fitted to, on the scale of w."""
        return float(np.sqrt(np.mean(np.square(_scaled(lost) - _with_one(damages) @ self.coefficients))))


def regress(damages: np.ndarray, lost: np.ndarray, prior: Prior) -> Regression:
    """The regression of these candidates; with none of them it says what the prior does.

    damages: [n, p]. lost: [n], the unedited network's score less the candidate's, after training.
    """
    x, w = _with_one(damages), _scaled(lost)
    n = len(w)
    k, squares = _STRENGTHS[-1], np.square(w - x @ prior.mean)
    if n >= _FEWEST:
        left_out = {k: _left_out(x, w, prior, k) for k in _STRENGTHS}
        k = min(left_out, key=lambda k: float(np.mean(np.square(left_out[k][0]))))
        errors, leverages = left_out[k]
        squares = np.square(errors) * (1 - leverages)
    error = np.sqrt((squares.sum() + prior.weight * prior.error**2) / (n + prior.weight))
    covariance = np.linalg.inv(x.T @ x + k * np.diag(np.square(prior.size)))
    return Regression(_solved(x, w, prior, k), float(error), max(n + prior.weight - 1, 1.0), covariance)


def _left_out(x: np.ndarray, w: np.ndarray, prior: Prior, k: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors of each candidate forecast by all others [n], and its leverage g [n], so that 1 + h = 1 / (1 - g) of it.

    Slopes that are 0 with it are taken to be 0 without it; the rest is exact (Allen 1974, the relationship between
    variable selection and data augmentation and a method for prediction).
    """
    coefficients = _solved(x, w, prior, k)
    moves = np.array([True, *(coefficients[1:] > 0)])
    inverse = np.linalg.inv(x[:, moves].T @ x[:, moves] + k * np.diag(np.square(prior.size[moves])))
    leverages = np.einsum("ij,jk,ik->i", x[:, moves], inverse, x[:, moves])
    return (w - x @ coefficients) / (1 - leverages), leverages


def _solved(x: np.ndarray, w: np.ndarray, prior: Prior, k: float) -> np.ndarray:
    strength = np.sqrt(k) * prior.size
    shift = np.array([_SHIFT, *np.zeros(x.shape[1] - 1)])
    rows = np.vstack([x, np.diag(strength)])
    targets = np.concatenate([w + _SHIFT, strength * (prior.mean + shift)])
    return np.asarray(nnls(rows, targets)[0] - shift)


def _scaled(lost: np.ndarray) -> np.ndarray:
    """w; gains near c and above count alike."""
    bent = np.log(np.clip(lost, -0.9 * _OFFSET, _STRAIGHT) + _OFFSET)
    return np.asarray(bent + np.maximum(lost - _STRAIGHT, 0) / (_STRAIGHT + _OFFSET))


def _unscaled(w: np.ndarray) -> np.ndarray:
    """Y."""
    most = np.log(_STRAIGHT + _OFFSET)
    bent = np.exp(np.minimum(w, most)) - _OFFSET
    return np.asarray(bent + np.maximum(w - most, 0) * (_STRAIGHT + _OFFSET))


def _with_one(damages: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(damages)), damages])
