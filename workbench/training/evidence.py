"""What each picture of a part got, as compact as a metric of any resample of the pictures allows.

A metric is a function of how often each picture counts: once each for the score, as often as it is drawn for the
bootstrap. So a score has an interval, and two scores of the same pictures a difference with one, without judging again.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from .resampling import Interval, bootstrap, wilson

__all__ = ["Evidence", "Hits", "Means", "Overlaps", "Scorer"]


class Evidence(ABC):
    """What each of n pictures got."""

    @property
    @abstractmethod
    def pictures(self) -> int: ...

    @abstractmethod
    def values(self, times: np.ndarray) -> np.ndarray:
        """The metric, float[r], where each picture counts as often as `times`, int[r, n], says."""

    @abstractmethod
    def interval(self) -> Interval:
        """Of the metric, 95 %."""

    @abstractmethod
    def difference_interval(self, other: Self) -> Interval:
        """Of this metric minus the other's on the same pictures, 95 %."""

    @property
    def value(self) -> float:
        return float(self.values(np.ones((1, self.pictures), np.int64))[0])


class Scorer(Protocol):
    """Gathers what pictures get, batch by batch."""

    def update(self, outputs: Any, targets: Any) -> None: ...

    def evidence(self) -> Evidence: ...

    def compute(self) -> float:
        """The metric of all batches so far."""
        ...


@dataclass(frozen=True, eq=False)
class Hits(Evidence):
    """right: bool[n], whether the answer was right; the metric is the share of them."""

    right: np.ndarray

    @property
    def pictures(self) -> int:
        return len(self.right)

    def values(self, times: np.ndarray) -> np.ndarray:
        shares: np.ndarray = times @ self.right.astype(np.int64) / times.sum(1)
        return shares

    def interval(self) -> Interval:
        return wilson(int(self.right.sum()), self.pictures)

    def difference_interval(self, other: "Hits") -> Interval:
        """Paired bootstrap of the pictures and of two more, one that only this network gets and one that only the other
        gets: without them 4 pictures to none would be called a difference, where McNemar's exact test says p = 0.13
        (Bonett and Price 2012, Adjusted Wald confidence interval for a difference of binomial proportions).
        """
        gains = np.append(self.right.astype(np.int64) - other.right, [1, -1])
        return bootstrap(lambda times: times @ gains / len(gains), len(gains))


@dataclass(frozen=True, eq=False)
class Means(Evidence):
    """each: float32[n], a figure of every picture; the metric is their mean."""

    each: np.ndarray

    @property
    def pictures(self) -> int:
        return len(self.each)

    def values(self, times: np.ndarray) -> np.ndarray:
        means: np.ndarray = times @ self.each.astype(np.float64) / times.sum(1)
        return means

    def interval(self) -> Interval:
        return bootstrap(self.values, self.pictures)

    def difference_interval(self, other: "Means") -> Interval:
        gains = self.each.astype(np.float64) - other.each
        return bootstrap(lambda times: times @ gains / times.sum(1), self.pictures)


@dataclass(frozen=True, eq=False)
class Overlaps(Evidence):
    """pixels: int64[n, 2, classes], those of each class that answer and truth share, and those either of them has. The
    metric is the mean over the classes that are shown or answered of their overlap over their union, all pictures'
    pixels taken together (mIoU).
    """

    pixels: np.ndarray

    @property
    def pictures(self) -> int:
        return len(self.pixels)

    def values(self, times: np.ndarray) -> np.ndarray:
        # in floating point for the speed of a matrix product; whole numbers this small are exact
        sums = times.astype(np.float64) @ self.pixels.reshape(self.pictures, -1).astype(np.float64)
        both, either = sums.reshape(len(times), 2, -1).swapaxes(0, 1)
        present = either > 0
        shares = np.where(present, both / np.maximum(either, 1), 0).sum(1)
        means: np.ndarray = shares / np.maximum(present.sum(1), 1)
        return means

    def interval(self) -> Interval:
        return bootstrap(self.values, self.pictures)

    def difference_interval(self, other: "Overlaps") -> Interval:
        return bootstrap(lambda times: self.values(times) - other.values(times), self.pictures)
