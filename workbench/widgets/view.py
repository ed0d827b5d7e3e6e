"""A session as plain data for the widget: everything it shows is decided here, the JavaScript only draws it.

All values are JSON: what is unknown is None, never NaN. Numbers come with the text that shows them.
"""

import math
import re
import types
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..report.palette import heat, scale_top
from ..report.tables import METRICS, change_text, figures_of, metric_text, shape_text
from ..transforms import TRANSFORMS

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["preview_view", "session_view", "transform_view"]

_PATTERNS = "The selected blocks, or patterns: blocks.2.*, *[resolution>=28], *[kind==ibn]"


def session_view(session: "Session") -> dict[str, Any]:
    """What the bench shows of a session.

    model, input, target: what the title says. note: what the figures leave out ("" where nothing).
    blocks: name, kind, shape, index (in execution order), latency_ms, share, heat (step of the palette), their texts.
    top: share at the hot end of the colours ("" without an estimate).
    totals: by metric: value, text, baseline, change, mood ("better", "worse", "same", or "" where unknown).
    transforms: see `transform_view`. history: one entry per step. can_undo, can_redo.
    """
    top = scale_top(*session.blocks["share"], *session.baseline.blocks["share"])
    size = "x".join(map(str, session.input_size)) if session.input_size else "example inputs"
    return {
        "model": session.model_name,
        "input": size.replace("x", "\N{MULTIPLICATION SIGN}") if session.input_size else size,
        "target": session.target.name,
        "note": _note(session),
        "blocks": _blocks(session, top),
        "top": "" if session.try_estimate is None else f"{100 * top:.0f} %",
        "totals": _totals(session.baseline, session),
        "transforms": [transform_view(cls) for cls in TRANSFORMS.values()],
        "history": _history(session),
        "can_undo": session.parent is not None,
        "can_redo": session.child is not None,
    }


def preview_view(now: "Session", then: "Session") -> dict[str, Any]:
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
        kind = next(
            (name for known, name in ((bool, "bool"), (float, "float"), (int, "int")) if known in parts), "text"
        )
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
    found = re.search(
        rf"(?:^|[\s,]){re.escape(name)}(?:, \w+)*: (.*?)(?=\n\s*\n|\n\w+(?:, \w+)*: |\.\s+\w+: |$)", doc, re.S
    )
    said = " ".join(found.group(1).split()) if found else ""
    said = re.sub(r"^None\b", "Empty", said.replace("`", ""))
    return said[:1].upper() + said[1:]


def _blocks(session: "Session", top: float) -> list[dict[str, Any]]:
    opened = session.baseline.blocks
    old = dict(zip(opened["name"], opened["latency_ms"], strict=True))
    rows = []
    for index, row in enumerate(session.blocks.to_dict("records")):
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
                "change": change_text(old.get(row["name"]), latency) if session.steps else "",
            }
        )
    return rows


def _totals(before: "Session", after: "Session") -> dict[str, Any]:
    old, new = figures_of(before), figures_of(after)
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


def _history(session: "Session") -> list[dict[str, Any]]:
    rows = []
    for step, row in session.history.iterrows():
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


def _note(session: "Session") -> str:
    known = session.try_estimate
    if known is None:
        return (
            f"{session.target.name} is not calibrated, so latency and memory are unknown; verify() compiles for real."
        )
    if known.complete:
        return ""
    few = ", ".join(known.cpu_ops[:3]) + (" and others" if len(known.cpu_ops) > 3 else "")
    return (
        f"Incomplete: the accelerator does not take {few} ({len(known.cpu_ops)} in all), and their time is not counted."
    )


def _number(value: Any) -> float | int | None:
    """A plain number, None where there is none (numpy's own types are no JSON)."""
    if value is None or math.isnan(value):
        return None
    return int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
