"""Figures of a study: the front with intervals and budgets, and where ranks flip from score to score.

Places are units of a viewBox 920 wide; a figure takes the width there is, up to one pixel a unit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..files import write_atomic
from ..metrics import METRICS, interval_text, metric_text
from ..transforms import describe
from .markup import Markup, el
from .overview import PICTURE_CSS

__all__ = ["StudyPicture", "cost_scale", "front_figure", "rank_figure", "study_picture", "ticks"]

_CSS = PICTURE_CSS + (Path(__file__).parent / "static" / "study.css").read_text("utf-8")
_WIDE, _LEFT, _RIGHT = 920, 58, 24
_CONTROLS = ("twin", "random")
# columns of the ledger in the order in which a candidate gets them, and what a reader calls them
_STAGES = {
    "together": "zero-shot",
    "forecast": "forecast",
    "supernet": "supernet",
    "fitted_accuracy": "fitted",
    "first_epoch": "first epoch",
    "accuracy": "trained",
}
_LEAST = 3  # candidates that a rank says something of
_BUDGETS = {"latency_ms": ("latency_ms", 1), "sram_kib": ("sram_bytes", 1024), "model_kib": ("weight_bytes", 1024)}


@dataclass(frozen=True)
class StudyPicture:
    """An HTML fragment with inline SVG, light and dark; shows itself in a notebook."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> Path:
        """Write it as a page that opens with no network."""
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Study</title>'
        return write_atomic(path, f"{head}<body>{self.html}</body></html>".encode())


def study_picture(
    ledger: pd.DataFrame, front: pd.DataFrame, cost: str, target: str, budgets: Mapping[str, float | None], title: str
) -> StudyPicture:
    """Both figures of a study. ledger, front: its tables. cost: the first cost of its objectives. title: one line."""
    trained = ledger[ledger["accuracy"].notna()] if "accuracy" in ledger else ledger
    if trained.empty:
        parts = [el("p", "Nothing is trained yet.", class_="wb-note")]
    else:
        label = METRICS[cost].label.lower()
        what = f"Accuracy on the validation pictures (95 %) over {label} on {target} (estimated)"
        parts = [el("p", what, class_="wb-study-title"), front_figure(trained, front, cost, budgets), _legend(front)]
        if len(trained) >= _LEAST:
            parts.append(el("p", "Ranks of the trained candidates, the best on top", class_="wb-study-title"))
            parts.append(rank_figure(trained, front))
    # without its style sheet, which an untrusted notebook loses, a drawing would be black shapes: it stays hidden
    drawing = el("div", *parts, class_="wb-drawn", hidden="hidden")
    note = el("p", "The figure appears once this notebook is trusted, or its cell is run.", class_="wb-untrusted")
    head = el("div", el("b", title), class_="wb-head")
    return StudyPicture(el("div", el("style", Markup(_CSS)), head, drawing, note, class_="wb-report"))


def front_figure(
    trained: pd.DataFrame, front: pd.DataFrame, cost: str, budgets: Mapping[str, float | None]
) -> Markup:
    """Trained candidates by cost and accuracy; those of the front with their intervals, budgets as lines."""
    high, top, bottom = 400, 18, 352
    limits = [(amount * _BUDGETS[name][1]) for name, amount in budgets.items() if amount and _BUDGETS[name][0] == cost]
    divisor = cost_scale(cost)[1]
    costs = [*trained[cost] / divisor, *(limit / divisor for limit in limits)]
    tests = front["test_accuracy"].dropna() if len(front) else pd.Series(dtype=float)
    scores = [100 * v for v in (*trained["accuracy"], *front.get("low", ()), *front.get("high", ()), *tests)]
    x_ticks, y_ticks = ticks(min(costs), max(costs), 7), ticks(min(scores), max(scores), 6)

    def x(value: float) -> float:
        return _place(value / divisor, x_ticks, _LEFT, _WIDE - _RIGHT)

    def y(share: float) -> float:
        return _place(100 * share, y_ticks, bottom, top)

    parts = [
        *(el("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=y(v / 100), y2=y(v / 100), class_="wb-grid") for v in y_ticks),
        *(_text(_LEFT - 8, y(v / 100) + 4, _number(v), "end") for v in y_ticks),
        *(_text(x(v * divisor), bottom + 18, _number(v), "middle") for v in x_ticks),
        el("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=bottom, y2=bottom, class_="wb-axis"),
        _text(_LEFT - 8, top - 6, "%", "end"),
        _text(_WIDE - _RIGHT, bottom + 36, _unit(cost), "end"),
    ]
    for limit in limits:
        parts.append(el("line", x1=x(limit), x2=x(limit), y1=top, y2=bottom, class_="wb-budget"))
        parts.append(_text(x(limit) - 5, top + 10, "budget", "end"))
    for number, row in trained.iterrows():
        if number not in front.index:
            parts.append(_dot(x(row[cost]), y(row["accuracy"]), _class(row), _words(number, row, cost)))
    stairs = _stairs([(x(row[cost]), y(row["accuracy"])) for _, row in front.iterrows()], _WIDE - _RIGHT)
    parts.append(el("path", d=stairs, class_="wb-stairs"))
    for number, row in front.iterrows():
        left, height = x(row[cost]), y(row["accuracy"])
        parts.append(el("line", x1=left, x2=left, y1=y(row["low"]), y2=y(row["high"]), class_="wb-whisker"))
        if not math.isnan(row["test_accuracy"]):
            test = y(row["test_accuracy"])
            parts.append(el("line", x1=left - 6, x2=left + 6, y1=test, y2=test, class_="wb-test"))
        kind = "wb-equal" if not pd.isna(row["same_as"]) else "wb-front"
        kind = "wb-unedited" if row["kind"] == "unedited" else kind
        parts.append(_dot(left, height, kind, _words(number, row, cost), 5.5))
    points = [(number, x(row[cost]), y(row["accuracy"]), y(row["high"])) for number, row in front.iterrows()]
    return _figure([*parts, *_labels(points)], high, "The front of a study")


def _agreement(scores: pd.Series, accuracy: pd.Series) -> float:
    """Spearman's correlation; nan where one of them is constant, so that there is no order to agree with."""
    both = scores.notna() & accuracy.notna()
    if min(scores[both].nunique(), accuracy[both].nunique()) < 2:
        return math.nan
    return float(scores.corr(accuracy, "spearman"))


def rank_figure(trained: pd.DataFrame, front: pd.DataFrame) -> Markup:
    """A line a trained candidate, through its rank by each score; above, how each score agrees with the training."""
    columns = [name for name in _STAGES if name in trained and trained[name].notna().sum() >= _LEAST]
    ranks = trained[columns].rank(ascending=False, method="first")
    count = len(trained)
    top, bottom = 44, 44 + max(160, min(360, 13 * count))
    left, right = 110, _WIDE - 110
    places = {n: left + (right - left) * i / max(1, len(columns) - 1) for i, n in enumerate(columns)}

    def y(rank: float) -> float:
        return round(top + (bottom - top) * (rank - 1) / max(1, count - 1), 2)

    parts: list[Markup] = []
    for name, place in places.items():
        agreement = _agreement(trained[name], trained["accuracy"])
        parts.append(_text(place, 14, _STAGES[name], "middle", "wb-strong"))
        if name != "accuracy" and not math.isnan(agreement):
            parts.append(_text(place, 29, f"Spearman {agreement:.2f}", "middle"))
        parts.append(el("line", x1=place, x2=place, y1=top - 6, y2=bottom + 6, class_="wb-grid"))
    best = set(front.index)
    for number in sorted(trained.index, key=lambda number: number in best):  # the front's lines over the others
        row = ranks.loc[number].dropna()
        line = "M" + "L".join(f"{places[name]:.1f},{y(rank)}" for name, rank in row.items())
        kind = "wb-rank wb-best" if number in best else "wb-rank"
        title = el("title", f"trial {number}: " + ", ".join(f"{_STAGES[n]} {int(r)}" for n, r in row.items()))
        parts.append(el("g", title, el("path", d=line, class_="wb-touch"), el("path", d=line, class_=kind)))
    free = -math.inf
    for number in sorted(best, key=lambda number: float(ranks["accuracy"][number])):
        free = max(free + 12, y(ranks["accuracy"][number]) + 4)  # a line of text below the one before
        words = f"{number}, {100 * trained['accuracy'][number]:.1f} %"
        parts.append(_text(places["accuracy"] + 10, free, words, "start", "wb-strong"))
    parts += [_text(left - 12, y(1) + 4, "best", "end"), _text(left - 12, y(count) + 4, str(count), "end")]
    return _figure(parts, bottom + 16, "Ranks of candidates from score to score")


# ---- parts of figures ------------------------------------------------------------------------------------------------


def _figure(parts: Sequence[Markup], high: float, label: str) -> Markup:
    return el("svg", *parts, viewBox=f"0 0 {_WIDE} {high:g}", role="img", aria_label=label, class_="wb-study")


def _legend(front: pd.DataFrame) -> Markup:
    keys = [("front", "front, by accuracy on validation"), ("equal", "front, not told from a cheaper one")]
    if len(front) and front["test_accuracy"].notna().any():
        keys.append(("test", "accuracy on the test part"))
    keys += [("other", "trained"), ("control", "control: random, or one edit"), ("unedited", "unedited")]
    return el("div", *(el("span", el("i", class_=f"wb-key-{kind}"), text) for kind, text in keys), class_="wb-legend")


def _dot(x: float, y: float, kind: str, words: str, radius: float = 4.5) -> Markup:
    if kind == "wb-unedited":
        side = radius * 1.25
        d = f"M{x:.2f},{y - side:.2f}l{side:.2f},{side:.2f}l{-side:.2f},{side:.2f}l{-side:.2f},{-side:.2f}z"
        return el("path", el("title", words), d=d, class_=kind)
    return el("circle", el("title", words), cx=round(x, 2), cy=round(y, 2), r=radius, class_=kind)


def _class(row: pd.Series) -> str:
    if row["kind"] == "unedited":
        return "wb-unedited"
    return "wb-control" if row["kind"] in _CONTROLS else "wb-other"


def _words(number: object, row: pd.Series, cost: str) -> str:
    accuracy = f"{100 * row['accuracy']:.1f} % (95 %: {interval_text((row['low'], row['high']))})"
    steps = ", ".join(map(describe, row["steps"])) or "unedited"
    return f"trial {number} ({row['kind']}): {accuracy}, {metric_text(cost, row[cost])}; {steps}"


def _labels(points: Sequence[tuple[object, float, float, float]]) -> list[Markup]:
    """A number beside each point (number, x, y, top of its whisker), left out where there is no room for it."""
    labels: list[Markup] = []
    boxes = [(x - 7, y - 7, x + 7, y + 7) for _, x, y, _ in points]
    for number, x, y, top in points:
        wide = 7 * len(str(number)) + 2
        for left, low in ((x + 8, y - 6), (x - 8 - wide, y - 6), (x - wide / 2, top - 4), (x + 8, y + 15)):
            box = (left, low - 10, left + wide, low + 1)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in boxes):
                boxes.append(box)
                labels.append(_text(left, low, str(number), "start", "wb-strong"))
                break
    return labels


def _stairs(points: Sequence[tuple[float, float]], right: float) -> str:
    """From each point right to the next one's cost, then up; on to the edge."""
    if not points:
        return ""
    line = f"M{points[0][0]:.2f},{points[0][1]:.2f}"
    for x, y in points[1:]:
        line += f"H{x:.2f}V{y:.2f}"
    return line + f"H{right:g}"


def _text(x: float, y: float, text: str, anchor: str, kind: str | None = None) -> Markup:
    return el("text", text, x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=kind)


def ticks(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers that reach from below `low` to above `high`.

    >>> ticks(71.2, 88.9, 5)
    [70.0, 75.0, 80.0, 85.0, 90.0]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power * about >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _place(value: float, ticks: Sequence[float], start: float, end: float) -> float:
    return round(start + (end - start) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)


def _number(value: float) -> str:
    return f"{value:g}"


def _unit(cost: str) -> str:
    return f"{METRICS[cost].label}, {cost_scale(cost)[0]}"


def cost_scale(cost: str) -> tuple[str, float]:
    """(unit, divisor) that a cost is drawn in."""
    return {"ms": ("ms", 1.0), "bytes": ("KiB", 1024.0), "count": ("M", 1e6)}[METRICS[cost].unit]
