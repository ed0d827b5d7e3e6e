"""Gaussian process regression whose fitted form is plain arrays.

    k(x, x') = v (1 + r + r^2 / 3) exp(-r),   r^2 = 5 sum_i ((x_i - x'_i) / l_i)^2

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equations 4.17 (Matern, nu = 5/2) and 2.25
(mean prediction). Variance v, length scales l and noise maximise the marginal likelihood (scikit-learn) of a part of
the points; the prediction is made of all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["GaussianProcess", "fit_gaussian_process"]

_MOST_SEARCHED = 400  # points the likelihood is maximised on: its cost grows with their cube
_MOST_POINTS = 2500
_ENDLESS = 1e30
_DIGITS = 5
_BEYOND = 0.5  # how far predictions may leave the range of the targets


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """scale: of every feature, its length scale times its spread. points [n, features], in these scales. weights [n].

    lowest, highest: of the targets.
    """

    scale: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    variance: float
    mean: float
    lowest: float
    highest: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Mean prediction [m] at x [m, features]."""
        mean = self.mean + _matern(x / self.scale, self.points, self.variance) @ self.weights
        return np.clip(mean, self.lowest - _BEYOND, self.highest + _BEYOND)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "scale": self.scale.tolist(), "points": self.points.ravel().tolist(), "weights": self.weights.tolist(),
            "variance": self.variance, "mean": self.mean, "lowest": self.lowest, "highest": self.highest,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "GaussianProcess":
        scale, weights = np.array(data["scale"], float), np.array(data["weights"], float)
        points = np.array(data["points"], float).reshape(len(weights), len(scale))
        return cls(scale, points, weights, *(float(data[k]) for k in ("variance", "mean", "lowest", "highest")))


def fit_gaussian_process(x: np.ndarray, y: np.ndarray, noise: np.ndarray, seed: int = 0) -> GaussianProcess:
    """Fit targets y [n] at x [n, features]; noise [n]: variance of each target beside the noise that is fitted.

    >>> x = np.linspace(0, 6, 40)[:, None]
    >>> process = fit_gaussian_process(x, np.sin(x[:, 0]), np.full(40, 1e-6))
    >>> bool(abs(process(np.array([[1.234]]))[0] - np.sin(1.234)) < 0.01)
    True
    """
    import warnings

    from scipy.linalg import cho_factor, cho_solve
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    order = np.random.default_rng(seed).permutation(len(y))
    spread = x.std(0)
    used = spread > 1e-6
    z = x[:, used] / spread[used]
    mean = float(y.mean())
    searched, kept = order[:_MOST_SEARCHED], order[:_MOST_POINTS]
    kernel = ConstantKernel(0.2, (1e-3, 10)) * Matern(np.full(used.sum(), 3.0), (0.3, 50), nu=2.5)
    kernel += WhiteKernel(0.01, (3e-4, 0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound: the feature does not matter
        fitted = (
            GaussianProcessRegressor(kernel, alpha=noise[searched] + 1e-6).fit(z[searched], y[searched] - mean).kernel_
        )
    variance, length = fitted.k1.k1.constant_value, np.atleast_1d(fitted.k1.k2.length_scale)
    scale = np.full(len(spread), _ENDLESS)  # a constant feature does not matter
    scale[used] = length * spread[used]
    points = np.round(x[kept] / scale, _DIGITS)  # as they are saved
    covariance = _matern(points, points, variance) + np.diag(noise[kept] + fitted.k2.noise_level + 1e-8)
    weights = cho_solve(cho_factor(covariance, lower=True), y[kept] - mean)
    return GaussianProcess(scale, points, weights, float(variance), mean, float(y.min()), float(y.max()))


def _matern(a: np.ndarray, b: np.ndarray, variance: float) -> np.ndarray:
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    r = np.sqrt(5 * np.maximum(squares, 0))
    covariance: np.ndarray = variance * (1 + r + r * r / 3) * np.exp(-r)
    return covariance
