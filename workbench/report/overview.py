"""The static picture of a session: what it costs, where, and against what."""

from pathlib import Path
from typing import TYPE_CHECKING

from .figures import block_figure
from .markup import Markup, el
from .palette import STEPS, scale_top, theme_css
from .tables import METRICS, TIMES, change_text, figures_of, metric_text

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["PICTURE_CSS", "incomplete_note", "legend", "picture", "title_text", "totals"]

PICTURE_CSS = theme_css(".wb-report") + (Path(__file__).parent / "static" / "picture.css").read_text("utf-8")


def picture(session: "Session") -> str:
    """An HTML fragment with inline SVG: totals against the baseline, latency and memory per block.

    No script, nothing fetched, all text escaped; light and dark. For `_repr_html_` and for the page.
    """
    return el("div", el("style", Markup(PICTURE_CSS)), _head(session), *_body(session), class_="wb-report")


def title_text(session: "Session") -> str:
    """Model, input and target in one line."""
    size = TIMES.join(map(str, session.input_size)) if session.input_size else "example inputs"
    return f"{session.model_name} at {size} on {session.target.name}"


def totals(session: "Session") -> Markup:
    """Every metric of the session, and its change against the model as it was opened."""
    before, after = figures_of(session.baseline), figures_of(session)
    cells = []
    for name, metric in METRICS.items():
        said: list[object] = [
            el("span", metric.short, class_="wb-label"),
            " ",
            el("span", metric_text(name, after[name]), class_="wb-value"),
        ]
        change = change_text(before[name], after[name]) if session.steps else ""
        if change and before[name] == after[name]:
            said += [" ", el("span", "as opened", class_="wb-from")]
        elif change:
            mood = "wb-better" if after[name] < before[name] else "wb-worse"  # type: ignore[operator]
            origin = f"from {metric_text(name, before[name])}".replace(" ", "\N{NO-BREAK SPACE}")
            said += [" ", el("span", el("span", change, class_=mood), " ", origin, class_="wb-from")]
        exact = "" if after[name] is None else f" Exactly {after[name]:,} {metric.unit}." if metric.unit != "ms" else ""
        cells.append(el("div", *said, class_="wb-total", title=f"{metric.meaning}{exact} ({metric.figures})"))
    return el("div", el("div", *cells, class_="wb-totals"), class_="wb-totals-frame")


def legend(session: "Session", memory: bool = True) -> Markup:
    """What the colours, the grey columns and, with `memory`, the two memory curves mean."""
    now, before = session.try_estimate, session.baseline.try_estimate
    assert now is not None and before is not None
    top = scale_top(*now.blocks["share"], *before.blocks["share"])
    swatches = [el("i", class_=f"wb-heat-{i}") for i in range(STEPS)]
    keys = [
        el("span", el("em", "share of latency 0 %"), *swatches, el("em", f"{100 * top:.0f} %"), class_="wb-scale"),
    ]
    if session.steps:
        keys.append(el("span", el("i", class_="wb-key-ghost"), "latency as opened"))
    if memory:
        keys.append(el("span", el("i", class_="wb-key-memory"), "feature maps alive"))
    if memory and session.steps:
        keys.append(el("span", el("i", class_="wb-key-before"), "alive as opened"))
    return el("div", *keys, class_="wb-legend")


def incomplete_note(session: "Session") -> Markup | None:
    """What the figures leave out, where they leave something out."""
    known = session.try_estimate
    if known is None:
        said = f"{session.target.name} is not calibrated: latency and memory are unknown; verify() compiles for real."
    elif not known.complete:
        few = ", ".join(known.cpu_ops[:4]) + (" and others" if len(known.cpu_ops) > 4 else "")
        count = len(known.cpu_ops)
        said = f"Incomplete: the accelerator does not take {few} ({count} in all), and their time is not counted."
    else:
        return None
    return el("p", said, class_="wb-note", role="note")


def _head(session: "Session") -> Markup:
    known = session.try_estimate
    steps = f"{len(session.steps)} step{'' if len(session.steps) == 1 else 's'}" if session.steps else "as opened"
    return el(
        "div",
        el("b", title_text(session)),
        " ",
        el("span", steps + ("" if known is None else f", estimated ({known.basis})"), class_="wb-muted"),
        class_="wb-head",
    )


def _body(session: "Session") -> list[Markup | None]:
    now, before = session.try_estimate, session.baseline.try_estimate
    if now is None:
        return [incomplete_note(session), totals(session)]
    # A notebook that is not trusted yet loses <style> and <svg> but keeps the texts inside: without the style sheet,
    # which shows it, the drawing stays hidden and the sentence stands in its place.
    drawing = el(
        "div", block_figure(now, before if session.steps else None), legend(session), class_="wb-drawn", hidden="hidden"
    )
    missing = el("p", "The figure appears once this notebook is trusted, or its cell is run.", class_="wb-untrusted")
    return [incomplete_note(session), totals(session), drawing, missing]
