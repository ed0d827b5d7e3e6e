"""One HTML page with everything about a state: it opens with no network, prints, and loads nothing."""

from base64 import b64encode
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pandas as pd

from ..advice import block_words, headline, untrained_badge
from ..errors import InputError
from ..estimators import Budgets, Estimate
from ..files import check_folder, write_atomic
from ..hardware import Measurement
from ..metrics import DASH, METRICS, change_text, metric_text, quantity_text, shape_text
from ..state import State
from .budget_gauges import gauges
from .code import code
from .figures import block_figure, memory_figure
from .markup import Markup, el
from .memory_section import peak_panel
from .overview import PICTURE_CSS, bound_legend, incomplete_note, legend, title_text, totals
from .page_tables import change_cell, frame_table, plain_table, row, sortable
from .palette import heat, scale_top
from .tables import compare_table
from .target_facts import target_facts
from .time_section import opened_blocks

__all__ = ["page", "write_page"]

_STATIC = Path(__file__).parent / "static"
_CSS = (_STATIC / "page.css").read_text("utf-8")
_JS = (_STATIC / "page.js").read_text("utf-8")


def page(
    state: State,
    *,
    compiled: Measurement | None = None,
    compiled_before: Measurement | None = None,
    made_on: date | None = None,
    budgets: Budgets | None = None,
) -> str:
    """The state as one self-contained HTML document.

    compiled, compiled_before: what the compiler said about this state and the model as it was opened; the table
    shows them beside the estimates. made_on: the date in the header, today (UTC) where not given. budgets: drawn beside
    what the network takes.
    All texts stand in the document: its one script opens blocks, walks through the memory and sorts. The document's own
    policy forbids every request and every other script.
    """
    digest = b64encode(sha256(_JS.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title_text(state)),
        el("style", Markup(PICTURE_CSS + _CSS)),
    )
    body = el(
        "body", el("main", *_sections(state, compiled, compiled_before, made_on, budgets)), el("script", Markup(_JS))
    )
    return f'<!doctype html>\n<html lang="en" class="wb-report">{head}{body}</html>\n'


def write_page(
    state: State,
    path: Path,
    *,
    compiled: Measurement | None = None,
    compiled_before: Measurement | None = None,
    budgets: Budgets | None = None,
) -> Path:
    """Write the page, whole or not at all; raises InputError where the path does not end in .html."""
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"share writes a page, .html, not {path.suffix or path.name!r}; try {path.stem}.html")
    check_folder(path)
    text = page(state, compiled=compiled, compiled_before=compiled_before, budgets=budgets)
    return write_atomic(path, text.encode())


def _sections(
    state: State,
    compiled: Measurement | None,
    compiled_before: Measurement | None,
    made_on: date | None,
    budgets: Budgets | None,
) -> list[Markup | None]:
    now = state.try_estimate
    badge = untrained_badge(state)
    parts: list[Markup | None] = [
        el("h1", title_text(state)),
        el("p", headline(state), class_="wb-headline") if now is not None else None,
        _facts(state, made_on or datetime.now(UTC).date()),
        el("p", badge, class_="wb-badge") if badge else None,
        incomplete_note(state),
        totals(state),
    ]
    if now is not None:
        if budgets:
            parts += [el("h2", "Budgets"), gauges(budgets, now)]
        parts += _figures(state, now)
    parts += [
        el("h2", "Before and after"),
        _comparison(state, compiled, compiled_before),
        el("h2", "Blocks in execution order"),
        _blocks(state),
        el("h2", "Target"),
        el(
            "dl",
            *(el("div", el("dt", name), el("dd", value)) for name, value in target_facts(state.target)),
            class_="wb-target",
        ),
    ]
    if state.changes:
        parts += [el("h2", "Steps"), frame_table(state.history)]
    if state.annotations:
        parts += [el("h2", "Notes"), _notes(state)]
    parts += [el("h2", "Code"), _copied(code(state))]
    if state.steps:
        parts += [el("h2", "Recipe"), _copied(state.to_recipe().to_yaml())]
    return parts


def _figures(state: State, now: Estimate) -> list[Markup | None]:
    """Time and memory over the blocks, each with what can be opened or walked through."""
    before = state.baseline.try_estimate if state.steps else None
    old = {} if before is None else dict(zip(before.blocks["name"], before.blocks["latency_ms"], strict=True))
    top = scale_top(*now.blocks["share"], *(() if before is None else before.blocks["share"]))
    return [
        el("h2", "Where the time goes"),
        block_figure(now, before, lane=False),
        el("div", legend(state, memory=False), data_legend="share"),
        el("div", bound_legend(now), data_legend="bound", hidden="hidden"),
        opened_blocks(state, now, old, top),
        el("h2", "Where the memory goes"),
        memory_figure(now, before),
        peak_panel(state.graph, now),
    ]


def _notes(state: State) -> Markup:
    notes = state.notes
    rows = [
        row([(path or "whole network", "wb-text"), (text, "wb-text wb-free"), (since, "wb-text")])
        for path, text, since in zip(notes["where"], notes["note"], notes["since"], strict=True)
    ]
    return plain_table(["of", "note", "since then"], rows, text=3)


def _copied(text: str) -> Markup:
    return el("pre", el("code", text), data_copy="", tabindex="0")


def _facts(state: State, made_on: date) -> Markup:
    estimate = state.try_estimate
    compiler = estimate.compiler if estimate is not None else getattr(state.target, "compiler", "")
    facts = [("Target configuration", state.target.digest), ("Compiler", compiler), ("Network", state.graph.digest)]
    facts.append(("Weights", state.weights_source if state.base.source is not None else ""))
    named = [el("span", f"{name} ", el("code", value)) for name, value in facts if value]
    return el("div", *named, el("span", made_on.isoformat()), class_="wb-facts")


def _comparison(state: State, compiled: Measurement | None, before: Measurement | None) -> Markup:
    frame = compare_table(state.baseline, state)
    rows = []
    for name, metric in frame.iterrows():
        # of costs less is better; points of a score are not coloured, as their interval may hold none
        trained = metric["figures"] == "trained"
        change = (metric["change"], "") if trained else change_cell(metric["change"])
        figures = (metric["figures"], "wb-text wb-roomy")
        rows.append(row([(str(name), "wb-text"), figures, (metric["before"], ""), (metric["after"], ""), change]))
    if compiled is not None or before is not None:
        rows += _compiled_rows(compiled, before)
    return el(
        "div",
        plain_table(["metric", "figures", "as opened", "now", "change"], rows, text=2, roomy=(1,)),
        el("p", state.target.latency_note, class_="wb-muted"),
    )


def _compiled_rows(compiled: Measurement | None, before: Measurement | None) -> list[Markup]:
    rows = []
    for name in ("latency_ms", "sram_bytes", "macs"):
        a, b = getattr(before, name, None), getattr(compiled, name, None)
        if a is None and b is None:
            continue
        word = next(m.kind for m in (compiled, before) if m is not None)
        source = f"{word} (compiler cycle model)" if word == "compiled" else word
        texts = [metric_text(name, v) if v is not None else DASH for v in (a, b)]
        cells = [(METRICS[name].label, "wb-text"), (source, "wb-text wb-roomy"), *((t, "") for t in texts)]
        rows.append(row([*cells, change_cell(change_text(a, b))]))
    for when, m in (("as opened", before), ("now", compiled)):
        if m is not None and m.status not in ("compiled", "measured"):
            rows.append(el("tr", el("td", f"{when}: {m.status}: {m.reason}", colspan=5, class_="wb-text wb-free")))
    return rows


def _blocks(state: State) -> Markup:
    frame, opened = state.blocks, state.baseline.blocks
    old = dict(zip(opened["name"], opened["latency_ms"], strict=True))
    top = scale_top(*frame["share"], *opened["share"])
    rows = []
    for i, (block, facts) in enumerate(zip(state.graph.blocks, frame.to_dict("records"), strict=True), 1):
        latency, share, before = facts["latency_ms"], facts["share"], old.get(facts["name"])
        estimated = not pd.isna(latency)
        swatch = el("i", class_=f"wb-share wb-heat-{heat(share, top)}") if estimated else None
        cells = [
            el("td", i, data_value=i),
            el("td", swatch, el("code", facts["name"]), class_="wb-text", data_value=facts["name"]),
            el("td", block_words(state.graph, block), class_="wb-text wb-roomy"),
            el("td", shape_text(facts["shape"]), class_="wb-text wb-roomy"),
        ]
        if state.steps:
            cells.append(el("td", metric_text("latency_ms", before), data_value=sortable(before)))
        cells += [
            el("td", metric_text("latency_ms", latency), data_value=sortable(latency)),
            el("td", quantity_text(share, "share"), data_value=sortable(share)),
        ]
        if state.steps:
            text, mood = change_cell(change_text(before, latency))
            cells.append(
                el("td", text, class_=mood or None, data_value=sortable(latency / before - 1 if before else None))
            )
        cells += [
            el("td", metric_text(m, facts[m]), class_="wb-roomy", data_value=sortable(facts[m]))
            for m in ("macs", "params")
        ]
        rows.append(el("tr", *cells))
    latencies = ["as opened", "now", "share", "change"] if state.steps else ["latency", "share"]
    names = ["#", "block", "kind", "output", *latencies, "MACs", "parameters"]
    roomy = (2, 3, len(names) - 2, len(names) - 1)
    return plain_table(names, rows, text=(1, 2, 3), sort=True, roomy=roomy)
