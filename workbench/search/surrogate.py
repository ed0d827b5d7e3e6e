"""What values are to be expected of candidates never paid for: a Gaussian process over choices, on a learned scale.

    N, n       candidates, those of them whose value was paid for
    S          slots; a candidate takes one choice in each
    x[N, F]    codes of the choices: squared distances count the slots that differ (a slot of numbers by how far)
    z[N, M]    figures of candidates, such as scores without training: quantiles of the normal distribution by rank
    p[N]       price, standardised (its logarithm where all are positive): the one thing known of every candidate
    y[n]       values paid for;  r = (y - median) / deviation
    w = f(r)   values on the scale they are Gaussian on, standardised; f is Yeo and Johnson's family, parameter L
    k(a, b)    covariance of two candidates:

        k =  A x_a.x_b / mean |x|^2          each choice adds its own amount               (Bayesian ridge on one-hot)
           + B exp(-2 t |x_a - x_b|^2 / S)   choices that work together
           + C exp(-(p_a - p_b)^2 / 2 l^2)   what the price alone says, bent
           + D p_a p_b                       and straight
           + E [a = b]                       what nothing explains, and stays with the candidate
           + G z_a.z_b / M                   what each figure says, straight; bent in the second line, where
                                             exp(-|z_a - z_b|^2 / 2 M) is a further factor

Accuracies crowd at the top: a choice that costs a small network three points costs a large one half a point. On the
scale f they add up, and an additive model then says most of what there is to say (Snelson et al. 2004, "Warped Gaussian
processes"; Yeo and Johnson 2000, "A new family of power transformations"). A, B, C, D, E, t, l and G maximise the
posterior under log-normal priors, L that over a few powers, the Jacobian included: a dozen values tell little of it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtri

__all__ = ["PRIOR", "Pool", "Surrogate", "covariance", "fit", "predict"]

POWERS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
STRAIGHT, POWER_DEVIATION = 1.0, 1.5  # mean and deviation of the power's prior
LEVELS = 12  # a column of more different numbers is a figure of the candidate, no slot with its choices
# of the logarithms of A, B, C, D, E, t, l, G: mean and deviation, for standardised values
PRIOR = np.array([[0, 1], [-1.5, 1], [-1, 1], [-1, 1.5], [-4, 1.5], [0, 0.7], [0, 0.7], [-0.5, 1]])


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates as the surrogate sees them.

    codes: x [N, F], centred. figures: z / sqrt(M) [N, M]. price: [N], standardised. slots: S, those with more than one
    choice.
    """

    codes: np.ndarray
    figures: np.ndarray
    price: np.ndarray
    slots: int

    @classmethod
    def of(cls, candidates: pd.DataFrame, price: np.ndarray) -> "Pool":
        """Of a table, a row a candidate and a column a slot or a figure, and its prices.

        A column of numbers with more than two values is a scale (widths, ratios): its values lie as far apart as
        their ranks; with more than `LEVELS` it is a figure. Any other column is a set of names. What is missing is a
        choice of its own.
        """
        columns, figures = [np.zeros((len(candidates), 0))], [np.zeros((len(candidates), 0))]
        for name in candidates:
            rank, values = pd.factorize(candidates[name], sort=True, use_na_sentinel=False)
            numeric = pd.api.types.is_numeric_dtype(candidates[name])
            if len(values) > LEVELS and numeric:
                place = candidates[name].rank(na_option="top").to_numpy(float) - 0.5
                figures.append(ndtri(place / len(candidates))[:, None])
            elif len(values) > 2 and numeric:
                columns.append((rank[:, None] > np.arange(len(values) - 1)) / np.sqrt(len(values) - 1))
            elif len(values) > 1:
                columns.append((rank[:, None] == np.arange(len(values))) / np.sqrt(2))
        codes = np.hstack(columns).astype(float)
        scale = np.log(price) if np.all(price > 0) else np.asarray(price, float)
        return cls(
            codes - codes.mean(0),
            np.hstack(figures) / np.sqrt(max(1, len(figures) - 1)),
            (scale - scale.mean()) / (scale.std() or 1.0),
            max(1, len(columns) - 1),
        )


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A fitted model: logarithms of the kernel's parameters [8] and the power of the scale."""

    parameters: np.ndarray
    power: float


def fit(pool: Pool, rows: np.ndarray, values: np.ndarray, start: Surrogate | None = None) -> Surrogate:
    """The model of the values [n] paid for the candidates `rows` [n], found from `start` or from the prior."""
    parameters = PRIOR[:, 0] if start is None else start.parameters

    def objective(parameters: np.ndarray, power: float) -> float:
        scaled, log_jacobian = _scaled(values, power)
        far = np.append((parameters - PRIOR[:, 0]) / PRIOR[:, 1], (power - STRAIGHT) / POWER_DEVIATION)
        return _misfit(pool, rows, scaled, parameters) + float(far @ far) / 2 - log_jacobian

    def refined(parameters: np.ndarray, power: float) -> np.ndarray:
        bounds = list(zip(PRIOR[:, 0] - 5 * PRIOR[:, 1], PRIOR[:, 0] + 5 * PRIOR[:, 1], strict=True))
        options = {"maxiter": 20}
        return np.asarray(minimize(objective, parameters, (power,), "L-BFGS-B", bounds=bounds, options=options).x)

    if start is None:  # the best parameters depend on the power: later fits start near both
        parameters = refined(parameters, 1.0)
    power = min(POWERS, key=lambda power: objective(parameters, power))
    return Surrogate(refined(parameters, power), power)


def predict(
    pool: Pool, rows: np.ndarray, values: np.ndarray, surrogate: Surrogate, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(w, mean, deviation): the paid values on the model's scale [n], and what the candidates `others` have on it."""
    scaled, _ = _scaled(values, surrogate.power)
    lower = _factor(pool, rows, surrogate.parameters)
    half = solve_triangular(lower, covariance(pool, rows, others, surrogate.parameters), lower=True)
    mean = half.T @ solve_triangular(lower, scaled, lower=True)
    additive, together, bent, straight, own, _, _, told = np.exp(surrogate.parameters)
    size = (pool.codes**2).sum(1)
    prior = additive * size[others] / _mean_size(size) + together + bent + straight * pool.price[others] ** 2 + own
    prior += told * (pool.figures[others] ** 2).sum(1)
    return scaled, mean, np.sqrt(np.maximum(prior - (half**2).sum(0), 1e-12))


def _mean_size(size: np.ndarray) -> float:
    return float(size.mean()) or 1.0


def covariance(pool: Pool, rows: np.ndarray, others: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Of each of `rows` with each of `others`, without what stays with a candidate, [n, m]."""
    additive, together, bent, straight, _, rate, length, told = np.exp(parameters)
    size, figures = (pool.codes**2).sum(1), (pool.figures**2).sum(1)
    product = pool.codes[rows] @ pool.codes[others].T
    alike = pool.figures[rows] @ pool.figures[others].T
    apart = np.maximum(size[rows][:, None] + size[others] - 2 * product, 0) / pool.slots
    away = np.maximum(figures[rows][:, None] + figures[others] - 2 * alike, 0)
    step = pool.price[rows][:, None] - pool.price[others]
    return np.asarray(
        additive * product / _mean_size(size)
        + told * alike
        + together * np.exp(-2 * rate * apart - away / 2)
        + bent * np.exp(-((step / length) ** 2) / 2)
        + straight * np.outer(pool.price[rows], pool.price[others])
    )


def _factor(pool: Pool, rows: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor of the covariance of the paid candidates, [n, n]."""
    full = covariance(pool, rows, rows, parameters)
    full[np.diag_indices_from(full)] += np.exp(parameters[4]) + 1e-8
    return np.linalg.cholesky(full)


def _misfit(pool: Pool, rows: np.ndarray, scaled: np.ndarray, parameters: np.ndarray) -> float:
    """Negative log likelihood of the scaled values, less a constant."""
    lower = _factor(pool, rows, parameters)
    white = solve_triangular(lower, scaled, lower=True)
    return float(white @ white / 2 + np.log(np.diag(lower)).sum())


def _scaled(values: np.ndarray, power: float) -> tuple[np.ndarray, float]:
    """(w, log |dw/dr| summed): the values on the scale of this power, mean 0 and deviation 1."""
    centred = (values - np.median(values)) / (values.std() or 1.0)
    bent = _yeo_johnson(centred, power)
    deviation = bent.std() or 1.0
    slope = (power - 1) * np.sign(centred) * np.log1p(np.abs(centred)) - np.log(deviation)
    return (bent - bent.mean()) / deviation, float(slope.sum())


def _yeo_johnson(values: np.ndarray, power: float) -> np.ndarray:
    """Yeo and Johnson 2000, eq. 2.1."""
    up, down = np.log1p(np.maximum(values, 0)), np.log1p(np.maximum(-values, 0))

    def power_of(log: np.ndarray, exponent: float) -> np.ndarray:
        return np.asarray(np.expm1(exponent * log) / exponent if exponent else log)

    return power_of(up, power) - power_of(down, 2 - power)
