"""What a state answers with: differences, verified figures, and the tables made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from html import escape
from typing import Protocol

import pandas as pd

from ..errors import InputError
from ..estimators import Estimate
from ..hardware import Measurement
from ..metrics import METRICS, difference_text, metric_text, percent_text
from ..table import Table
from .changes import LearnedScore

__all__ = ["Delta", "ScoreForecast", "Verification", "comparison", "delta", "history", "percent", "verification"]

Figures = Mapping[str, float | None]  # by the names of METRICS; None where unknown


class ScoreForecast(Protocol):
    """A score that is expected after training (`forecast.Forecast`): with its 90 % interval, both shares."""

    @property
    def score(self) -> float: ...

    @property
    def interval(self) -> tuple[float, float]: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Delta:
    """What a change would do: after minus before, estimated, batch 1.

    latency_percent: of the latency before. None where the target is not calibrated (params and macs are counts
    and always there). complete: False where either estimate leaves operators out. forecast: of the score after the
    change and its recovery, where a task is named whose score the network before it has; else None.
    """

    latency_ms: float | None
    latency_percent: float | None
    sram_bytes: int | None
    peak_activation_bytes: int | None
    weight_bytes: int | None
    params: int
    macs: int
    complete: bool = True
    forecast: ScoreForecast | None = None

    def __repr__(self) -> str:
        parts = [f"{name} {text}" for name, text in self._rows()]
        score = "" if self.forecast is None else f"; forecast: score {self.forecast.text}"
        return f"Delta(estimated: {', '.join(parts)}{'' if self.complete else '; incomplete'}{score})"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._rows())
        note = "estimated" if self.complete else "estimated, incomplete"
        if self.forecast is not None:
            cells += f"<tr><th>score (forecast)</th><td>{escape(self.forecast.text)}</td></tr>"
        return f"<table><caption>Change ({note})</caption><tbody>{cells}</tbody></table>"

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        for name in METRICS:
            difference = getattr(self, name)
            if difference is not None:
                share = self.latency_percent if name == "latency_ms" else None
                text = difference_text(name, difference) + (f" ({percent_text(share)})" if share is not None else "")
                rows.append((name.removesuffix("_ms").removesuffix("_bytes"), text))
        return rows


@dataclass(frozen=True, repr=False)
class Verification(Measurement):
    """A network compiled, or run, beside its estimate.

    estimate: None where the target is not calibrated. weights: where the values the compiler saw came from.
    error_percent: estimated over compiled latency, minus one.
    """

    estimate: Estimate | None = None
    weights: str = ""

    @property
    def error_percent(self) -> float | None:
        if self.estimate is None or not self.latency_ms:
            return None
        return 100 * (self.estimate.latency_ms / self.latency_ms - 1)

    @property
    def table(self) -> Table:
        """Estimated beside compiled (rows: metrics; NaN where one of them does not say)."""
        rows = []
        for name in ("latency_ms", "sram_bytes", "dram_bytes", "macs"):
            estimated, measured = getattr(self.estimate, name, None), getattr(self, name)
            rows.append((name, estimated, measured, percent(measured, estimated)))
        frame = Table(rows, columns=["metric", "estimated", self.kind, "difference %"]).set_index("metric")
        return Table(frame.astype(float))

    def __repr__(self) -> str:
        if self.status not in ("compiled", "measured"):
            return f"{self.target}: {self.status}: {self.reason}"
        text = f"{metric_text('latency_ms', self.latency_ms)} {self.kind}"
        if self.estimate is not None:
            error = "" if self.error_percent is None else f" ({percent_text(self.error_percent)})"
            text += f", {metric_text('latency_ms', self.estimate.latency_ms)} estimated{error}"
        if self.sram_bytes is not None:
            text += f"; SRAM {metric_text('sram_bytes', self.sram_bytes)} {self.kind}"
        if self.cpu_ops:
            names = ", ".join(self.cpu_ops[:3])
            text += f"; incomplete: {len(self.cpu_ops)} operators left to the CPU count one cycle each ({names})"
        source = f"compiler cycle model, {self.compiler}" if self.kind == "compiled" else self.compiler
        return f"{self.target}: {text} ({source}; weights: {self.weights})"

    def _repr_html_(self) -> str:
        if self.status not in ("compiled", "measured"):
            return f"<p><b>{escape(self.target)}: {escape(self.status)}</b>: {escape(self.reason)}</p>"
        return f"{self.table._repr_html_()}<p>{escape(repr(self))}</p>"


def verification(measurement: Measurement, estimate: Estimate | None, weights: str) -> Verification:
    """The measurement with the estimate beside it."""
    values = {field.name: getattr(measurement, field.name) for field in fields(measurement)}
    return Verification(**values, estimate=estimate, weights=weights)


def delta(before: Figures, after: Figures, complete: bool, forecast: ScoreForecast | None = None) -> Delta:
    """After minus before. complete: whether both estimates count every operator. forecast: of the score after."""
    differences = {
        name: None if old is None or (new := after[name]) is None else new - old for name, old in before.items()
    }
    return Delta(
        **differences,  # type: ignore[arg-type]
        latency_percent=percent(before["latency_ms"], after["latency_ms"]),
        complete=complete,
        forecast=forecast,
    )


def comparison(
    before: Figures | Measurement,
    after: Figures,
    score_before: LearnedScore | None = None,
    score_after: LearnedScore | None = None,
    forecast: ScoreForecast | None = None,
) -> pd.DataFrame:
    """One row per metric: before, after, change %, and the word each figure carries ("compiled, estimated": one each).

    Scores, where there are any, are shares and make the last rows, with their intervals; no change in percent is told
    of them. forecast: of the score after, where nothing was learned for the network as it is. Raises InputError for a
    measurement that measured nothing.
    """
    measurement = before if isinstance(before, Measurement) else None
    if measurement is not None and measurement.status not in ("compiled", "measured"):
        raise InputError(f"there is nothing to compare with: the file was {measurement.status} ({measurement.reason})")
    rows = []
    for name, metric in METRICS.items():
        old = getattr(before, name, None) if measurement is not None else before[name]  # type: ignore[index]
        words = metric.figures if measurement is None else f"{measurement.kind}, {metric.figures}"
        if old is not None or measurement is None:
            rows.append((name, old, after[name], percent(old, after[name]), words))
    scores = [score for score in (score_before, score_after) if score is not None]
    if scores:
        old, new = (None if score is None else score.value for score in (score_before, score_after))
        rows.append(("score", old, new, None, f"trained: {'; '.join(map(str, scores))}"))
    if forecast is not None:
        rows.append(("forecast", None, forecast.score, None, f"forecast: {forecast.text}"))
    frame = Table(rows, columns=["metric", "before", "after", "change %", "figures"]).set_index("metric")
    return frame.astype({"before": float, "after": float, "change %": float})


def history(steps: Iterable[tuple[str, str, float | None, str]]) -> pd.DataFrame:
    """One row per step: (what was done, the recipe it came with, estimated latency in ms after it, the score it was
    learned to, in words) in their order. The last is a column where something was learned.
    """
    rows: list[tuple[int, str, str, float | None, float | None, float | None, str]] = []
    previous: float | None = None
    for number, (text, recipe, latency, score) in enumerate(steps):
        change = None if latency is None or previous is None else latency - previous
        rows.append((number, text, recipe, latency, change, percent(previous, latency), score))
        previous = latency
    columns = ["step", "transform", "recipe", "latency_ms", "change_ms", "change %", "score"]
    frame = Table(rows, columns=columns).set_index("step")
    if not any(frame["score"]):
        frame = frame.drop(columns="score")
    return frame.astype({"latency_ms": float, "change_ms": float, "change %": float})


def percent(before: float | None, after: float | None) -> float | None:
    """The relative change in percent; None where a value is unknown, or the first one 0."""
    return 100 * (after / before - 1) if before and after is not None else None
