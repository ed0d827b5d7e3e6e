"""Budgets beside what the network takes."""

from dataclasses import fields

from ..estimators import Budgets, Estimate
from ..metrics import percent_text, quantity_text
from .markup import Markup, el

__all__ = ["gauges"]

_LABELS = {"latency_ms": "Latency", "sram_kib": "SRAM", "model_kib": "Weights"}


def gauges(budgets: Budgets, estimate: Estimate) -> Markup:
    """One bar per budget; the line is the budget."""
    figures = {
        "latency_ms": estimate.latency_ms,
        "sram_kib": estimate.sram_bytes / 1024,
        "model_kib": estimate.weight_bytes / 1024,
    }
    missed = budgets.missed(estimate)
    named = {f.name: getattr(budgets, f.name) for f in fields(budgets)}
    rows = [_gauge(n, figures[n], budget, n in missed) for n, budget in named.items() if budget is not None]
    return el("div", *rows, class_="wb-budgets")


def _gauge(name: str, value: float, budget: float, missed: bool) -> Markup:
    most = max(value, budget) * 1.15
    beside = f"{'missed' if missed else 'met'}, {percent_text(100 * (value / budget - 1))}"
    bar = el("i", class_="wb-over" if missed else None, style=f"width:{100 * value / most:.1f}%")
    line = el("u", style=f"left:{100 * budget / most:.1f}%")
    return el(
        "div",
        el("span", _LABELS[name], class_="wb-label"),
        el("span", el("b", _text(name, value)), f" of {_text(name, budget)}", class_="wb-number"),
        el("span", beside, class_="wb-worse" if missed else "wb-better"),
        el("div", bar, line, class_="wb-gauge", aria_hidden="true"),
        class_="wb-budget",
    )


def _text(name: str, value: float) -> str:
    return quantity_text(value, "ms") if name == "latency_ms" else quantity_text(1024 * value, "bytes")
