"""The regression is scikit-learn's, as plain arrays."""

import json

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from workbench.estimators.device.gaussian_process import GaussianProcess, fit_gaussian_process


def data(count: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(-2, 2, (count, 4))
    x[:, 3] = 1.0  # says nothing
    return x, np.sin(x[:, 0]) + 0.3 * x[:, 1] ** 2


def test_predictions_are_scikit_learns():
    x, y = data(120)
    process = fit_gaussian_process(x, y, np.full(120, 1e-4))
    kernel = ConstantKernel(process.variance) * Matern(1.0, nu=2.5)
    reference = GaussianProcessRegressor(kernel, alpha=1e-4, optimizer=None).fit(x / process.scale, y - process.mean)
    new = data(150)[0][120:]
    expected = process.mean + reference.predict(new / process.scale)
    assert process(new) == pytest.approx(expected, abs=0.02)  # its own noise term is small beside 1e-4


def test_what_was_never_seen_is_not_invented():
    x, y = data(60)
    process = fit_gaussian_process(x, y, np.full(60, 1e-4))
    assert np.all(process(50 * x) <= y.max() + 0.5)
    assert np.all(process(50 * x) >= y.min() - 0.5)


def test_it_is_plain_data():
    x, y = data(40)
    process = fit_gaussian_process(x, y, np.full(40, 1e-4))
    again = GaussianProcess.from_dict(json.loads(json.dumps(process.to_dict())))
    assert np.array_equal(again(x), process(x))
