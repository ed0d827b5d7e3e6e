"""The static picture of a state: what it costs, where, and against what."""

from pathlib import Path

from ..advice import untrained_badge
from ..estimators import Estimate
from ..metrics import METRICS, TIMES, change_text, incomplete_text, metric_text, uncalibrated_text
from ..state import State
from .figures import block_figure
from .markup import Markup, el
from .palette import STEPS, scale_top, theme_css
from .time_section import bound_words

__all__ = [
    "PICTURE_CSS",
    "bound_legend",
    "incomplete_note",
    "incomplete_sentence",
    "legend",
    "picture",
    "title_text",
    "totals",
]

PICTURE_CSS = theme_css(".wb-report") + (Path(__file__).parent / "static" / "picture.css").read_text("utf-8")


def picture(state: State) -> str:
    """An HTML fragment with inline SVG: totals against the baseline, latency and memory per block.

    No script, nothing fetched, all text escaped; light and dark. For `_repr_html_` and for the page.
    """
    return el("div", el("style", Markup(PICTURE_CSS)), _head(state), *_body(state), class_="wb-report")


def title_text(state: State) -> str:
    """Model, input and target in one line."""
    size = TIMES.join(map(str, state.input_size)) if state.input_size else "example inputs"
    return f"{state.model_name} at {size} on {state.target.name}"


def totals(state: State) -> Markup:
    """Every metric of the state, and its change against the model as it was opened."""
    before, after = state.baseline.figures, state.figures
    cells = []
    for name, metric in METRICS.items():
        parts: list[object] = [
            el("span", metric.short, class_="wb-label"),
            " ",
            el("span", metric_text(name, after[name]), class_="wb-value"),
        ]
        change = change_text(before[name], after[name]) if state.steps else ""
        if change and before[name] == after[name]:
            parts += [" ", el("span", "as opened", class_="wb-from")]
        elif change:
            mood = "wb-better" if after[name] < before[name] else "wb-worse"  # type: ignore[operator]
            origin = f"from {metric_text(name, before[name])}".replace(" ", "\N{NO-BREAK SPACE}")
            parts += [" ", el("span", el("span", change, class_=mood), " ", origin, class_="wb-from")]
        exact = "" if after[name] is None else f" Exactly {after[name]:,} {metric.unit}." if metric.unit != "ms" else ""
        cells.append(el("div", *parts, class_="wb-total", title=f"{metric.meaning}{exact} ({metric.figures})"))
    return el("div", el("div", *cells, class_="wb-totals"), class_="wb-totals-frame")


def legend(state: State, memory: bool = True) -> Markup:
    """What the colours, the grey columns and, with `memory`, the two memory curves mean."""
    now, before = state.try_estimate, state.baseline.try_estimate
    assert now is not None and before is not None
    top = scale_top(*now.blocks["share"], *before.blocks["share"])
    swatches = [el("i", class_=f"wb-heat-{i}") for i in range(STEPS)]
    keys = [
        el("span", el("em", "share of latency 0 %"), *swatches, el("em", f"{100 * top:.0f} %"), class_="wb-scale"),
    ]
    if state.steps:
        keys.append(el("span", el("i", class_="wb-key-ghost"), "latency as opened"))
    if memory:
        keys.append(el("span", el("i", class_="wb-key-memory"), "feature maps alive"))
    if memory and state.steps:
        keys.append(el("span", el("i", class_="wb-key-before"), "alive as opened"))
    return el("div", *keys, class_="wb-legend")


def bound_legend(estimate: Estimate) -> Markup:
    """What the colours mean where columns are coloured by what limits them."""
    limits = dict.fromkeys(estimate.detail.bound.values())
    keys = [el("span", el("i", class_=f"wb-key-{limit}"), bound_words(limit)) for limit in limits]
    return el("div", el("span", "most of the time waits for"), *keys, class_="wb-legend")


def incomplete_note(state: State) -> Markup | None:
    """What the figures leave out, where they leave something out."""
    text = incomplete_sentence(state)
    return el("p", text, class_="wb-note", role="note") if text else None


def incomplete_sentence(state: State) -> str:
    """The same as text, "" where nothing is left out."""
    estimate = state.try_estimate
    if estimate is None:
        return uncalibrated_text(state.target.name)
    return "" if estimate.complete else incomplete_text(estimate.cpu_ops)


def _head(state: State) -> Markup:
    estimate = state.try_estimate
    badge = untrained_badge(state)
    steps = f"{len(state.steps)} step{'' if len(state.steps) == 1 else 's'}" if state.steps else "as opened"
    return el(
        "div",
        el("b", title_text(state)),
        " ",
        el("span", steps + ("" if estimate is None else f", estimated ({estimate.basis})"), class_="wb-muted"),
        *([" ", el("span", f"weights {state.weights_source}", class_="wb-muted")] if state.base.source else []),
        *([" ", el("span", "untrained", title=badge, class_="wb-untrained")] if badge else []),
        class_="wb-head",
    )


def _body(state: State) -> list[Markup | None]:
    now, before = state.try_estimate, state.baseline.try_estimate
    if now is None:
        return [incomplete_note(state), totals(state)]
    # A notebook that is not trusted yet loses <style> and <svg> but keeps the texts inside: without the style sheet,
    # which shows it, the drawing stays hidden and the sentence stands in its place.
    drawing = el(
        "div", block_figure(now, before if state.steps else None), legend(state), class_="wb-drawn", hidden="hidden"
    )
    missing = el("p", "The figure appears once this notebook is trusted, or its cell is run.", class_="wb-untrusted")
    return [incomplete_note(state), totals(state), drawing, missing]
