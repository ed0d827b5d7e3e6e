"""A state as plain data for the widget: everything it shows is decided here, the JavaScript only draws it.

All values are JSON: what is unknown is None, never NaN. Numbers come with the text that shows them.
"""

import math
from collections.abc import Mapping
from typing import Any

from ..estimators import estimate, is_calibrated
from ..metrics import METRICS, change_text, interval_text, metric_text, shape_text
from ..report.overview import incomplete_sentence
from ..state import Learned, State
from ..transforms import describe_fully
from .tracks import block_label, stage_names, tracks

__all__ = ["preview_view", "session_view"]


def session_view(
    state: State, against: State | None = None, deployed: Mapping[str, float | None] | None = None
) -> dict[str, Any]:
    """What the bench shows of a state, beside `against` (the model as it was opened where not given).

    deployed: figures of a deployed file, by metric, which the totals stand beside instead.

    model, input, target: what the title says. note: what the figures leave out ("" where nothing).
    accuracy: text, detail and badge of the gauge for it.
    blocks, steps, tensors, top, highest_ms, peak: see `tracks`; without an estimate only names, kinds and shapes.
    totals: by metric: value, text, baseline, change, mood ("better", "worse", "same", or "" where unknown).
    history: one entry per step. can_undo, can_redo.
    """
    other = state.baseline if against is None else against
    size = "x".join(map(str, state.input_size)) if state.input_size else "example inputs"
    return {
        "model": state.model_name,
        "input": size.replace("x", "\N{MULTIPLICATION SIGN}") if state.input_size else size,
        "target": state.target.name,
        "note": incomplete_sentence(state),
        "accuracy": _accuracy(state),
        **_tracks(state, other),
        "totals": _totals(other.figures if deployed is None else deployed, state),
        "history": _history(state),
        "can_undo": bool(state.changes),
        "can_redo": bool(state.undone),
    }


def preview_view(now: State, then: State) -> dict[str, Any]:
    """The totals of `then`, and how they differ from those of `now`."""
    return _totals(now.figures, then)


def _tracks(state: State, other: State) -> dict[str, Any]:
    now, before = state.try_estimate, other.try_estimate
    if now is None or before is None:
        return {"blocks": _blocks(state), "steps": [], "tensors": [], "top": "", "highest_ms": 0.0, "peak": None}
    shown = tracks(state.graph, now, before, state.target)
    for index, block in enumerate(shown["blocks"]):
        block["index"] = index
    return shown


def _blocks(state: State) -> list[dict[str, Any]]:
    """Blocks without an estimate."""
    frame = state.blocks
    return [
        {
            "name": str(row["name"]), "stage": stage, "label": block_label(str(row["name"]), stage),
            "kind": str(row["kind"]), "what": str(row["kind"]), "shape": shape_text(row["shape"]), "index": index,
            "latency_ms": None, "before_ms": None, "share": None, "heat": None, "idle": None, "busy": None, "use": "",
            "latency_text": metric_text("latency_ms", None), "share_text": "", "change": "", "changed": 0,
            "bound": "", "steps": 0, "outside": [],
        }
        for index, (row, stage) in enumerate(
            zip(frame.to_dict("records"), stage_names([str(name) for name in frame["name"]]), strict=True)
        )
    ]  # fmt: skip


def _accuracy(state: State) -> dict[str, str]:
    """The score there is, in words; untrained weights have none that means anything."""
    score = state.learned_score
    if score is not None:
        interval = "" if score.interval is None else f"95 %: {interval_text(score.interval)}"
        pictures = "" if score.pictures is None else f"{score.pictures} pictures"
        detail = ", ".join(part for part in ("trained", interval, pictures) if part)
        return {"text": f"{100 * score.value:.1f} %", "detail": detail, "badge": ""}
    if state.untrained:
        return {
            "text": "unknown",
            "detail": "nothing was learned, so no loss of a step means anything",
            "badge": "untrained",
        }
    since = "steps were applied since it was scored" if state.learned is not None else "not scored yet"
    return {"text": "unknown", "detail": f"weights {state.weights_source}; {since}", "badge": ""}


def _totals(old: Mapping[str, float | None], after: State) -> dict[str, Any]:
    new = after.figures
    estimated = after.try_estimate
    totals: dict[str, dict[str, Any]] = {}
    for name, metric in METRICS.items():
        a, b = _number(old[name]), _number(new[name])
        mood = "" if a is None or b is None else "same" if a == b else "better" if b < a else "worse"
        totals[name] = {
            "label": metric.short,
            "meaning": f"{metric.meaning} ({metric.figures})",
            "figures": metric.figures,
            "value": b,
            "text": metric_text(name, b),
            "interval": "",
            "baseline": a,
            "baseline_text": metric_text(name, a),
            "change": change_text(a, b),
            "mood": mood,
        }
    if estimated is not None:
        low, high = estimated.latency_interval_ms
        totals["latency_ms"]["range"] = [low, high]
        ends = (metric_text("latency_ms", low).removesuffix(" ms"), metric_text("latency_ms", high))
        totals["latency_ms"]["interval"] = f"90 %: {ends[0]} to {ends[1]}"
        totals["latency_ms"]["bound"] = f"bound by {estimated.bound}"
    return totals


def _history(state: State) -> list[dict[str, Any]]:
    """One entry a step, as `State.history` has them; a table of pandas would take half the time of a click."""
    opened, *after = state.path
    entries = [
        ("opened" if state.base.source is None else f"opened with {state.base.source.file}", "", opened.graph, opened)
    ]
    for then in after:
        change = then.changes[-1]
        if isinstance(change, Learned):
            entries.append((str(change), "", change.graph, then))
        else:
            entries += [(describe_fully(step.transform), change.recipe, step.graph, then) for step in change.steps]
    rows: list[dict[str, Any]] = []
    before: float | None = None
    for number, (text, recipe, graph, then) in enumerate(entries):
        calibrated = is_calibrated(then.target)
        latency = estimate(graph, then.target, then.weight_values).latency_ms if calibrated else None
        change_in_words = change_text(before, latency)
        rows.append(
            {
                "step": number,
                "text": text,
                "recipe": recipe,
                "latency_text": metric_text("latency_ms", latency),
                "change": change_in_words,
            }
        )
        before = latency
    return rows


def _number(value: Any) -> float | int | None:
    """A plain number, None where there is none (numpy's own types are no JSON)."""
    if value is None or math.isnan(value):
        return None
    return int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
