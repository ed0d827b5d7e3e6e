"""Scores of networks on a part of a task's pictures, with intervals, and their differences picture by picture."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from ..errors import InputError
from ..metrics import interval_text, points_text
from .evidence import Evidence, Means
from .parts import Part
from .resampling import Interval

__all__ = ["Difference", "Score"]


@dataclass(frozen=True)
class Difference:
    """One score minus another of the same pictures, resampled together (paired bootstrap).

    value, interval: of `metric`, as shares; the interval is of 95 %. pictures: how many they are of. loss,
    loss_interval: of `Score.loss`, more is worse.
    """

    task: str
    metric: str
    value: float
    interval: Interval
    pictures: int
    loss: float
    loss_interval: Interval

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out; where it holds 0, these pictures show no difference."""
        return not self.interval[0] <= 0 <= self.interval[1]

    def __float__(self) -> float:
        return self.value

    @property
    def text(self) -> str:
        """The difference in points with its interval, after "no difference" where it is not significant."""
        low, high = (points_text(bound) for bound in self.interval)
        points = f"{points_text(self.value)} points (95 %: {low} to {high})"
        return points if self.significant else f"no difference: {points}"

    def __str__(self) -> str:
        return f"{self.task}: {self.metric}, {self.text}, {self.pictures:,} pictures"


@dataclass(frozen=True)
class Score:
    """value: of `metric`, 0 to 1. pictures: how many it is of. dtype: "float", "int8" or "int16"; what ran.

    part: "val", which is chosen on, or "test", which is reported on. data: the task's digest. held_out: whether a rule
    held the part out, where the data names none. evidence: what each picture got; losses: how wrong the answer to each
    was.
    """

    task: str
    metric: str
    value: float
    pictures: int
    dtype: str
    part: Part
    data: str = field(repr=False)
    held_out: bool
    evidence: Evidence = field(repr=False, compare=False)
    losses: Means = field(repr=False, compare=False)

    @property
    def count(self) -> int:
        """How many pictures it is of."""
        return self.pictures

    @cached_property
    def interval(self) -> Interval:
        """Of the metric over all pictures like these, 95 %: Wilson's for a share of right answers, the bootstrap's over
        pictures for mAP and mIoU, the same each time.
        """
        return self.evidence.interval()

    @property
    def loss(self) -> float:
        """The mean over pictures of how wrong the answers are (`Task.losses`: cross-entropy in nats for classes)."""
        return self.losses.value

    @property
    def row(self) -> dict[str, float]:
        """As a row of a table: score, its interval low and high, pictures, score_loss."""
        low, high = self.interval
        return {
            "score": self.value, "low": low, "high": high, "pictures": self.pictures, "score_loss": self.loss,
        }  # fmt: skip

    def against(self, other: Self) -> Difference:
        """This score minus the other, picture by picture.

        Raises InputError, in one sentence, where the two are not of the same pictures.
        """
        self._check_same_pictures(other)
        return Difference(
            self.task,
            self.metric,
            self.value - other.value,
            self.evidence.difference_interval(other.evidence),
            self.pictures,
            self.loss - other.loss,
            self.losses.difference_interval(other.losses),
        )

    def _check_same_pictures(self, other: Self) -> None:
        if not isinstance(other, Score):
            raise InputError(f"a score is compared with a Score, such as session.evaluate(...), not {other!r:.60}")
        for what, own, its in (
            ("task", self.task, other.task),
            ("metric", self.metric, other.metric),
            ("part", self.part, other.part),
        ):
            if own != its:
                raise InputError(f"scores of one {what} are compared picture by picture, and these are {own} and {its}")
        if (self.data, self.pictures) != (other.data, other.pictures):
            raise InputError(
                f"scores of the same pictures are compared, and {self.task} is other data in the two: "
                f"{self.pictures} and {other.pictures} {self.part} pictures, digests {self.data} and {other.data}"
            )

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        rule = ", held out by rule" if self.held_out else ""
        return (
            f"{self.task}: {self.metric} {self.value:.1%} (95 %: {interval_text(self.interval)}) of {self.pictures} "
            f"{self.part} pictures{rule}, {self.dtype}"
        )
