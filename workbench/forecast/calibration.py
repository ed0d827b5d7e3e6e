"""What trained candidates say of one that is not trained yet.

own      candidates of the same task and the same unedited network: the regression is fitted to them
others   of other tasks or networks: its prior; all there is where nothing was trained yet

An interval rests on errors that were made where they could be checked: of own candidates forecast without themselves,
and of others forecast without their task. With fewer than `ENOUGH` own candidates, and for damages beyond all that was
tried, the forecast says that it is incomplete.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from .features import DAMAGES, SIZES, Features
from .regression import Prior, Regression, regress

__all__ = ["ENOUGH", "Calibration", "calibrate"]

ENOUGH = 5  # own candidates
_TRANSFER = 1.5  # errors on another task are so much larger than on the task that taught, where only one did
_SURE = 4.0  # candidates that others count as, in the error
# A damage is beyond what was tried where it exceeds the largest by this factor, and by this much of its size.
_BEYOND, _NEAR = 1.25, 0.1


@dataclass(frozen=True, eq=False)
class Calibration:
    """names: of the damages. largest: of each that was tried [names]. own, others: how many candidates; tasks: how many
    tasks and networks the others are of.
    """

    names: tuple[str, ...]
    regression: Regression
    largest: np.ndarray
    own: int
    others: int
    tasks: int

    def lost(self, rows: pd.DataFrame) -> np.ndarray:
        """Share of the score that training is expected to leave lost [n]. rows: with the damages as columns."""
        return self.regression.lost(_damages(rows, self.names))

    def expected(self, features: Features) -> float:
        """The score expected of one network, not confined to 0 to 1."""
        return features.unedited_score - float(self.lost(pd.DataFrame([asdict(features)]))[0])

    def interval(self, rows: pd.DataFrame) -> np.ndarray:
        """[n, 2]: of the lost share, 90 %. Of damages beyond all that was tried no more is known than that they lose
        what the largest lose: the interval begins there.
        """
        every = _damages(rows, self.names)
        least = self.regression.interval(np.minimum(every, self._most))[:, 0]
        low, high = self.regression.interval(every).T
        return np.column_stack([np.minimum(low, least), high])

    def beyond(self, rows: pd.DataFrame) -> list[Sequence[str]]:
        """Of each row the damages that exceed all that was tried."""
        exceeding = _damages(rows, self.names) > self._most
        return [[name for name, flag in zip(self.names, row, strict=True) if flag] for row in exceeding]

    @property
    def _most(self) -> np.ndarray:
        """Of each damage, up to which it counts as tried."""
        return _BEYOND * self.largest + _NEAR * np.array([SIZES[name] for name in self.names])


def calibrate(own: pd.DataFrame, others: pd.DataFrame, names: tuple[str, ...] = DAMAGES) -> Calibration:
    """The calibration by trained candidates, rows with the columns `evidence.COLUMNS`. names: damages to go by."""
    prior = _prior(others, names)
    regression = regress(_damages(own, names), _lost(own), prior)
    tried = _damages(pd.concat([own, others]), names)
    largest = tried.max(axis=0) if len(tried) else np.zeros(len(names))
    return Calibration(names, regression, largest, len(own), len(others), _tasks(others).nunique())


def _damages(rows: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    return rows[list(names)].to_numpy(float)


def _lost(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows["unedited_score"] - rows["score"], float)


def _tasks(rows: pd.DataFrame) -> pd.Series:
    """Task and unedited network of each candidate, in one word."""
    return rows["task"] + " " + rows["network"]


def _prior(others: pd.DataFrame, names: tuple[str, ...]) -> Prior:
    """What candidates of other tasks teach; none where there are none."""
    none = Prior.none(np.array([SIZES[name] for name in names]))
    if not len(others):
        return none
    taught = regress(_damages(others, names), _lost(others), none)
    tasks = _tasks(others)
    errors = [taught.error * _TRANSFER]
    if tasks.nunique() > 1:
        errors = [_error(others[tasks != task], others[tasks == task], none, names) for task in tasks.unique()]
    error = float(np.sqrt(np.mean(np.square(errors))))
    return Prior(taught.coefficients, error, min(_SURE, len(others)), none.size)


def _error(rest: pd.DataFrame, held: pd.DataFrame, prior: Prior, names: tuple[str, ...]) -> float:
    """Root of the mean square error on a task that was held out."""
    regression = regress(_damages(rest, names), _lost(rest), prior)
    return regression.miss(_damages(held, names), _lost(held))
