"""The front of a study as the bench draws it: trained candidates with intervals, budgets, and the branches beside them.

Places are shares of the drawing, from its left and its lower edge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from ..metrics import METRICS, interval_text, metric_text
from ..recipe import Recipe
from ..report.study_figures import cost_scale, ticks
from ..search.row import Row, slot_names
from ..space import Space
from ..state import State
from .branches import Branches, state_at
from .studies import Study

__all__ = ["Tried", "candidate", "front_view"]

_MOST = 80  # candidates that are sent; the ledger has them all
_GAP = 0.16  # of the width: so wide a stretch without a trained candidate says "no evidence here"
_NAMED = 4  # blocks that are named among those that nothing was tried on
_BUDGETS = {"latency_ms": ("latency_ms", 1), "sram_bytes": ("sram_kib", 1024), "weight_bytes": ("model_kib", 1024)}
_KINDS = {
    "unedited": "unedited", "twin": "a control: one edit", "random": "a control: drawn at random",
    "program": "from the integer program", "drawn": "drawn by price", "crossover": "bred of two",
    "mutation": "bred of one",
}  # fmt: skip


@dataclass(frozen=True)
class Tried:
    """What a study has tried so far. rows: the trained ones. front: as `Study.front` has it."""

    study: Study
    rows: Sequence[Row]
    front: pd.DataFrame

    @property
    def cost(self) -> str:
        """The metric to the right: the first cost of the objectives."""
        return (*self.study.options.costs, "latency_ms")[0]


def candidate(study: Study, row: Row) -> State:
    """The network of a candidate on what the study began with, without the weights it was trained to."""
    transforms = study.space.candidate(row.choices).transforms
    return study.session.apply(Recipe(f"{study.name}, trial {row.number}", transforms)) if transforms else study.session


def front_view(tried: Tried, state: State, branches: Branches, budgets: Mapping[str, float]) -> dict[str, Any]:
    """The drawing and its table. budgets: of the bench, by metric.

    about: of what study. cost: the metric and how it is called. x, y: [place, text] of each tick. points: see `_point`.
    stairs: [x, y] along the front. lines: [x, text] of the budgets. branches: number, text, x, y (None where the
    accuracy is unknown) and whether it is `here`. gaps: [from, to] in x where no candidate was trained. evidence: what
    was not tried, in words.
    """
    study, cost = tried.study, tried.cost
    rows = _most(tried)
    limits = _limits(study, budgets, cost)
    beside = _branches(state, branches, study, cost)
    costs = [row.costs[cost] for row in rows] + [node["cost"] for node in beside] + [value for value, _ in limits]
    shares = [number for row in rows for number in (row.accuracy, *_interval(row, tried.front))]
    shares += [node["accuracy"] for node in beside if node["accuracy"] is not None]
    divisor = cost_scale(cost)[1]
    x = _Axis(costs, divisor, 6)
    y = _Axis(shares or [0.0, 1.0], 0.01, 5)
    points = [_point(row, tried, x, y) for row in rows]
    front = [point for point in points if point["front"]]
    return {
        "about": _about(study),
        "cost": {"metric": cost, "label": f"{METRICS[cost].label}, {cost_scale(cost)[0]} (estimated)"},
        "x": x.labels,
        "y": y.labels if rows else [],
        "points": points,
        "more": len(tried.rows) - len(rows),
        "stairs": [[point["x"], point["y"]] for point in front],
        "lines": [[x.place(value), text] for value, text in limits],
        "branches": [_node(node, x, y if rows else None) for node in beside],
        "gaps": _gaps([point["x"] for point in points]),
        "evidence": _evidence(study.space, tried.rows),
    }


class _Axis:
    """Places on an axis from round number to round number."""

    def __init__(self, values: Sequence[float], divisor: float, about: int) -> None:
        self._divisor = divisor
        self._ticks = ticks(min(values) / divisor, max(values) / divisor, about) if values else [0.0, 1.0]

    def place(self, value: float) -> float:
        first, last = self._ticks[0], self._ticks[-1]
        return round((value / self._divisor - first) / (last - first), 5)

    @property
    def labels(self) -> list[list[Any]]:
        return [[self.place(tick * self._divisor), f"{tick:g}"] for tick in self._ticks]


def _most(tried: Tried) -> list[Row]:
    """The front by rising cost, then the others, the last trained first; no more than are sent."""
    on_front = [row for number in tried.front.index for row in tried.rows if row.number == number]
    others = [row for row in reversed(tried.rows) if row.number not in tried.front.index]
    return [*on_front, *others][:_MOST]


def _point(row: Row, tried: Tried, x: _Axis, y: _Axis) -> dict[str, Any]:
    """trial, kind (how it is drawn), front (whether it is on it), x, y, low, high (its interval), test (None where the
    test part did not judge it), and the texts of its line in the table.
    """
    front = tried.front.loc[row.number] if row.number in tried.front.index else None
    low, high = _interval(row, tried.front)
    test = row.test.get("accuracy")
    equal = front is not None and not pd.isna(front["same_as"])
    return {
        "trial": row.number,
        "kind": _kind(row, front is not None, equal),
        "front": front is not None,
        "x": x.place(row.costs[tried.cost]),
        "y": y.place(row.accuracy),
        "low": y.place(low),
        "high": y.place(high),
        "test": None if test is None or front is None else y.place(test),
        "accuracy": f"{100 * row.accuracy:.1f} %",
        "interval": interval_text((row.result["low"], row.result["high"])),
        "cost": metric_text(tried.cost, row.costs[tried.cost]),
        "against": "" if front is None else str(front["against_unedited"]),
        "note": _note(row, front, equal),
        "steps": _choices_text(tried.study.space, row),
        "test_text": "" if test is None else f"{100 * test:.1f} % on the test part",
        "code": f"session = study.adopt({row.number})",
    }


def _choices_text(space: Space, row: Row) -> str:
    """What was chosen where, slots that stay as they are left out."""
    names = zip(slot_names(space), space.slots, row.choices, strict=True)
    return ", ".join(f"{slot.choices[n].label} {name}" for name, slot, n in names if n) or "as it is"


def _kind(row: Row, on_front: bool, equal: bool) -> str:
    if row.kind == "unedited":
        return "unedited"
    if on_front:
        return "equal" if equal else "front"
    return "control" if row.kind in ("twin", "random") else "other"


def _note(row: Row, front: Any, equal: bool) -> str:
    kind = _KINDS.get(row.kind, row.kind)
    return f"{kind}; not told from trial {front['same_as']}" if equal else kind


def _interval(row: Row, front: pd.DataFrame) -> tuple[float, float]:
    """That of the accuracy, drawn on the front alone."""
    if row.number not in front.index:
        return row.accuracy, row.accuracy
    return row.result["low"], row.result["high"]


def _limits(study: Study, budgets: Mapping[str, float], cost: str) -> list[tuple[float, str]]:
    """Budgets along the cost: those of the search, and those of the bench where they are others."""
    if cost not in _BUDGETS:
        return []
    name, by = _BUDGETS[cost]
    limits = {}
    if name in study.options.budgets:
        limits[study.options.budgets[name] * by] = "the search's budget"
    if cost in budgets:
        limits.setdefault(budgets[cost], "budget")
    return [(value, f"{text}: {metric_text(cost, value)}") for value, text in limits.items()]


def _branches(state: State, branches: Branches, study: Study, cost: str) -> list[dict[str, Any]]:
    """Every node with its cost on the study's target, and its accuracy where weights were learned for it."""
    current, nodes = branches.number(state.changes), []
    for node in branches.nodes:
        then = state_at(state, branches.changes(node.number)).on(study.target)
        value = then.figures[cost]
        if value is None:
            continue
        score = then.learned_score
        known = f"{100 * score.value:.1f} %" if score is not None else "accuracy unknown"
        name = "opened" if node.change is None else str(node.change)
        nodes.append(
            {
                "number": node.number,
                "here": node.number == current,
                "cost": value,
                "accuracy": None if score is None else score.value,
                "text": f"{node.number} {name}: {metric_text(cost, value)}, {known}",
            }
        )
    return nodes


def _node(node: Mapping[str, Any], x: _Axis, y: _Axis | None) -> dict[str, Any]:
    height = None if node["accuracy"] is None or y is None else y.place(node["accuracy"])
    return {**{key: node[key] for key in ("number", "here", "text")}, "x": x.place(node["cost"]), "y": height}


def _gaps(places: Sequence[float]) -> list[list[float]]:
    """Wide stretches of the axis of costs without a trained candidate."""
    return [[low, high] for low, high in pairwise([0.0, *sorted(places), 1.0]) if high - low > _GAP]


def _about(study: Study) -> str:
    steps = len(study.session.steps)
    edits = f" after {steps} step{'s' if steps != 1 else ''}" if steps else ""
    return f"{study.options.strategy} search from {study.session.model_name}{edits} on {study.target.name}"


def _evidence(space: Space, rows: Sequence[Row]) -> str:
    """Which blocks no trained candidate changed, in words; "" where each was."""
    if not rows:
        return "No evidence here yet: no candidate is trained."
    names = slot_names(space)
    tried = [any(row.choices[s] for row in rows) for s in range(len(space.slots))]
    left = [name for name, edited in zip(names, tried, strict=True) if not edited]
    if not left:
        return ""
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return f"No evidence where nothing was tried: {', '.join(left[:_NAMED])}{more} (of {len(names)})."
