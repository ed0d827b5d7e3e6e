"""Cycles of every operator of a lowered network: an analytic model, and trees for what it misses.

    y = log2(1 + cycles) - log2(1 + modelled)         what the trees predict
    cycles = 2^(y + log2(1 + modelled)) - 1           an operator's cost; a network's is their sum

Trained on operators measured inside whole networks, each weighted by the square root of its share of its network, so
that the operators that matter are right. Tried and dropped: trees on shapes and neighbours alone, with cycles no
implementation can beat in the place of the model (families held out: 70 to 82 % of networks within 10 %). Models are
LightGBM's own text files: nothing is unpickled.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import lightgbm
import numpy as np

from ..targets import Target
from .features import CATEGORICAL, FEATURES

__all__ = ["DATA", "load", "predict", "train"]

DATA = Path(str(files(__package__))) / "data"
_MODELLED = FEATURES.index("modelled")
_PARAMETERS = {
    "objective": "l2",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "cat_smooth": 10.0,
    "seed": 0,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}
_ROUNDS = 100


def train(features: np.ndarray, cycles: np.ndarray, shares: np.ndarray, rounds: int = _ROUNDS) -> lightgbm.Booster:
    """Fit the trees. features [n, FEATURES], cycles [n], shares [n]: the operator's part of its network's cycles."""
    target = np.log2(1 + cycles.clip(0)) - features[:, _MODELLED]
    data = lightgbm.Dataset(
        features,
        target,
        weight=np.sqrt(shares.clip(0) + 1e-4),
        categorical_feature=[FEATURES.index(name) for name in CATEGORICAL],
        free_raw_data=False,
    )
    return lightgbm.train(_PARAMETERS, data, rounds)


def predict(model: lightgbm.Booster, features: np.ndarray) -> np.ndarray:
    """Cycles of each row."""
    if not len(features):
        return np.zeros(0)
    ratio = np.asarray(model.predict(features, num_threads=1))
    return (np.exp2(ratio + features[:, _MODELLED]) - 1).clip(0)


def model_path(target: Target) -> Path:
    """Where the target's trees are kept (only default configurations ship)."""
    return DATA / f"{target.name}.txt"


@cache
def load(path: Path) -> lightgbm.Booster:
    """The trees of a calibrated target."""
    return lightgbm.Booster(model_file=str(path))


def residual_interval(errors: Sequence[float], level: float = 0.9) -> tuple[float, float]:
    """Ratios (low, high) the true cycles lie between, from held-out log2 errors (predicted over true)."""
    low, high = np.quantile(np.asarray(errors), [(1 - level) / 2, (1 + level) / 2])
    return float(2**-high), float(2**-low)
