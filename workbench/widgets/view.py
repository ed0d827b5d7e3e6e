"""A state as plain data for the widget: everything it shows is decided here, the JavaScript only draws it.

All values are JSON: what is unknown is None, never NaN. Numbers come with the text that shows them.
"""

import math
import re
import types
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..metrics import METRICS, change_text, metric_text, shape_text
from ..report.overview import incomplete_sentence
from ..report.palette import heat, scale_top
from ..state import State
from ..transforms import TRANSFORMS

__all__ = ["preview_view", "session_view", "transform_view"]

_PATTERNS = "The selected blocks, or patterns: blocks.2.*, *[resolution>=28], *[kind==ibn]"


def session_view(state: State) -> dict[str, Any]:
    """What the bench shows of a state.

    model, input, target: what the title says. note: what the figures leave out ("" where nothing).
    blocks: name, kind, shape, index (in execution order), latency_ms, share, heat (step of the palette), their texts.
    top: share at the hot end of the colours ("" without an estimate).
    totals: by metric: value, text, baseline, change, mood ("better", "worse", "same", or "" where unknown).
    transforms: see `transform_view`. history: one entry per step. can_undo, can_redo.
    """
    top = scale_top(*state.blocks["share"], *state.baseline.blocks["share"])
    size = "x".join(map(str, state.input_size)) if state.input_size else "example inputs"
    return {
        "model": state.model_name,
        "input": size.replace("x", "\N{MULTIPLICATION SIGN}") if state.input_size else size,
        "target": state.target.name,
        "note": incomplete_sentence(state),
        "blocks": _blocks(state, top),
        "top": "" if state.try_estimate is None else f"{100 * top:.0f} %",
        "totals": _totals(state.baseline, state),
        "transforms": [transform_view(cls) for cls in TRANSFORMS.values()],
        "history": _history(state),
        "can_undo": bool(state.changes),
        "can_redo": bool(state.undone),
    }


def preview_view(now: State, then: State) -> dict[str, Any]:
    """The totals of `then`, and how they differ from those of `now`."""
    return _totals(now, then)


def transform_view(cls: type) -> dict[str, Any]:
    """A transform's name, what it does in one sentence, and its options.

    Options have name, label, type ("blocks", "choice", "bool", "int", "float", "text" or, with commas, "list"),
    default, optional (may stay empty), choices and help, read from the dataclass: annotations, defaults, and the lines
    of its docstring that begin with the option's name.
    """
    hints, doc = get_type_hints(cls), cleandoc(cls.__doc__ or "")
    return {
        "name": cls.__name__,
        "label": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__),
        "help": " ".join(doc.partition("\n\n")[0].split()),
        "options": [_option(field, hints[field.name], doc) for field in fields(cls) if field.init],
    }


def _option(field: "Field[Any]", hint: Any, doc: str) -> dict[str, Any]:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    optional = type(None) in parts
    parts = tuple(p for p in parts if p is not type(None))
    choices = [c for p in parts if get_origin(p) is Literal for c in get_args(p)]
    if field.name == "blocks":
        kind = "blocks"
    elif choices:
        kind = "choice"
    elif any(get_origin(p) is tuple for p in parts):
        kind = "list"
    else:
        kind = next((name for cls, name in ((bool, "bool"), (float, "float"), (int, "int")) if cls in parts), "text")
    default = None if field.default is MISSING else field.default
    return {
        "name": field.name,
        "label": field.name.replace("_", " ").capitalize(),
        "type": kind,
        "default": ", ".join(default) if isinstance(default, tuple) else default,
        "optional": optional,
        "choices": list(choices),
        "help": _PATTERNS if kind == "blocks" else _described(field.name, doc),
    }


def _described(name: str, doc: str) -> str:
    """What a docstring says about a parameter: from "name: " to the end of the sentence or paragraph."""
    match = re.search(
        rf"(?:^|[\s,]){re.escape(name)}(?:, \w+)*: (.*?)(?=\n\s*\n|\n\w+(?:, \w+)*: |\.\s+\w+: |$)", doc, re.S
    )
    text = " ".join(match.group(1).split()) if match else ""
    text = re.sub(r"^None\b", "Empty", text.replace("`", ""))
    return text[:1].upper() + text[1:]


def _blocks(state: State, top: float) -> list[dict[str, Any]]:
    opened = state.baseline.blocks
    old = dict(zip(opened["name"], opened["latency_ms"], strict=True))
    rows = []
    for index, row in enumerate(state.blocks.to_dict("records")):
        latency, share = _number(row["latency_ms"]), _number(row["share"])
        rows.append(
            {
                "name": str(row["name"]),
                "kind": str(row["kind"]),
                "shape": shape_text(row["shape"]),
                "index": index,
                "latency_ms": latency,
                "share": share,
                "heat": None if share is None else heat(share, top),
                "latency_text": metric_text("latency_ms", latency),
                "share_text": "" if share is None else f"{100 * share:.1f} %",
                "change": change_text(old.get(row["name"]), latency) if state.steps else "",
            }
        )
    return rows


def _totals(before: State, after: State) -> dict[str, Any]:
    old, new = before.figures, after.figures
    totals = {}
    for name, metric in METRICS.items():
        a, b = _number(old[name]), _number(new[name])
        mood = "" if a is None or b is None else "same" if a == b else "better" if b < a else "worse"
        totals[name] = {
            "label": metric.short,
            "meaning": f"{metric.meaning} ({metric.figures})",
            "value": b,
            "text": metric_text(name, b),
            "baseline": a,
            "baseline_text": metric_text(name, a),
            "change": change_text(a, b),
            "mood": mood,
        }
    return totals


def _history(state: State) -> list[dict[str, Any]]:
    rows = []
    for step, row in state.history.iterrows():
        change = _number(row["change %"])
        rows.append(
            {
                "step": int(str(step)),
                "text": str(row["transform"]),
                "recipe": str(row["recipe"] or ""),
                "latency_text": metric_text("latency_ms", _number(row["latency_ms"])),
                "change": "" if change is None else change_text(100, 100 + change),
            }
        )
    return rows


def _number(value: Any) -> float | int | None:
    """A plain number, None where there is none (numpy's own types are no JSON)."""
    if value is None or math.isnan(value):
        return None
    return int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
