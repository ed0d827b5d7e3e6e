"""The score that a network is expected to have once it is trained, from what is measured of it before."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ..metrics import interval_text
from .calibration import ENOUGH, Calibration, calibrate
from .features import Features

__all__ = ["Forecast", "Question", "forecast", "forecast_unedited"]

# What damages are, in words.
_WORDS = {
    "layers": "the layers that are gone",
    "widths": "the widths that are gone",
    "kernels": "the taps of kernels that are gone",
    "pixels": "the pixels that are gone",
    "macs": "the added multiply-accumulates",
    "distance": "the distance of the answers before training",
}


@dataclass(frozen=True)
class Forecast:
    """The score on the pictures for validation that a network is expected to have after `Session.recover`, float.

    score, interval: of `metric`, 0 to 1; the interval is of 90 %. parts: a row a change applied since weights were
    learned: change (in words) and loss, the share of the score that is expected to be lost by it; they sum up to what
    is lost in all. based_on: what the forecast rests on, in words. complete: False where too few candidates were
    trained on this task, or none like this one; the interval is then wider, and based_on says why.
    """

    task: str
    metric: str
    score: float
    interval: tuple[float, float]
    based_on: str
    complete: bool
    parts: pd.DataFrame = field(repr=False, compare=False)

    def __float__(self) -> float:
        return self.score

    @property
    def text(self) -> str:
        """The score with its interval, in percent."""
        note = "" if self.complete else ", incomplete"
        return f"{100 * self.score:.1f} % (90 %: {interval_text(self.interval)}{note})"

    def __str__(self) -> str:
        return f"{self.task}: {self.metric} {self.text} forecast, float; {self.based_on}"


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of which task. own: candidates trained on it from the same unedited network, rows as in
    `evidence.py`; others: trained on other tasks, or from other networks.
    """

    task: str
    metric: str
    own: pd.DataFrame
    others: pd.DataFrame

    @cached_property
    def calibration(self) -> Calibration:
        return calibrate(self.own, self.others)


def forecast(question: Question, features: Features, steps: Sequence[tuple[str, Features]] = ()) -> Forecast:
    """The score expected of an edited network with these features.

    steps: the changes that made it, in words, each with the features of the network after it; for `Forecast.parts`.
    """
    row = pd.DataFrame([asdict(features)])
    calibration = question.calibration
    lost = features.unedited_score - calibration.expected(features)
    least, most = calibration.interval(row)[0]
    beyond = calibration.beyond(row)[0]
    score = features.unedited_score
    return Forecast(
        question.task,
        question.metric,
        float(np.clip(score - lost, 0, 1)),
        (float(np.clip(score - most, 0, 1)), float(np.clip(score - least, 0, 1))),
        _based_on(question, calibration, beyond),
        calibration.own >= ENOUGH and not beyond,
        _parts(calibration, lost, features, steps),
    )


def forecast_unedited(task: str, metric: str, score: float) -> Forecast:
    """Of a network without edits, whose score is measured already."""
    based_on = "its own score, as nothing was applied since weights were learned"
    return Forecast(task, metric, score, (score, score), based_on, True, _table((), ()))


def _based_on(question: Question, calibration: Calibration, beyond: Sequence[str]) -> str:
    text = f"based on {calibration.own} candidate{_s(calibration.own)} trained on {question.task}"
    if calibration.others:
        tasks = calibration.tasks
        text += f" and {calibration.others} on {tasks} other task{_s(tasks)} or network{_s(tasks)}"
    if calibration.own < ENOUGH:
        text += f"; {ENOUGH} on {question.task} make it complete"
    if beyond:
        text += f"; beyond all that was tried: {', '.join(_WORDS[name] for name in beyond)}"
    return text


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _parts(
    calibration: Calibration, lost: float, features: Features, steps: Sequence[tuple[str, Features]]
) -> pd.DataFrame:
    """What each step adds to the loss; what is lost without any is shared out in proportion."""
    if not steps:
        return _table((), ())
    rows = pd.DataFrame([asdict(Features(features.unedited_score)), *(asdict(after) for _, after in steps)])
    added = np.diff(calibration.lost(rows))
    share = np.abs(added) + 1e-9
    return _table([change for change, _ in steps], added + (lost - added.sum()) * share / share.sum())


def _table(changes: Sequence[str], losses: Sequence[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"change": list(changes), "loss": np.asarray(losses, float)})
