"""One HTML page with everything about a state: it opens with no network, prints, and loads nothing."""

from base64 import b64encode
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..files import check_folder, write_atomic
from ..hardware import Measurement
from ..metrics import DASH, METRICS, MINUS, change_text, metric_text, shape_text
from ..state import State
from .figures import block_figure, memory_figure
from .markup import Markup, el
from .overview import PICTURE_CSS, incomplete_note, legend, title_text, totals
from .palette import heat, scale_top
from .tables import compare_table

__all__ = ["page", "write_page"]

_STATIC = Path(__file__).parent / "static"
_CSS = (_STATIC / "page.css").read_text("utf-8")
_JS = (_STATIC / "sort.js").read_text("utf-8")


def page(
    state: State,
    *,
    compiled: Measurement | None = None,
    compiled_before: Measurement | None = None,
    made_on: date | None = None,
) -> str:
    """The state as one self-contained HTML document.

    compiled, compiled_before: what the compiler said about this state and the model as it was opened; the table
    shows them beside the estimates. made_on: the date in the header, today (UTC) where not given.
    The document's own policy forbids every request and every script but the one that sorts the table.
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
    body = el("body", el("main", *_sections(state, compiled, compiled_before, made_on)), el("script", Markup(_JS)))
    return f'<!doctype html>\n<html lang="en" class="wb-report">{head}{body}</html>\n'


def write_page(
    state: State,
    path: Path,
    *,
    compiled: Measurement | None = None,
    compiled_before: Measurement | None = None,
) -> Path:
    """Write the page, whole or not at all; raises InputError where the path does not end in .html."""
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"share writes a page, .html, not {path.suffix or path.name!r}; try {path.stem}.html")
    check_folder(path)
    return write_atomic(path, page(state, compiled=compiled, compiled_before=compiled_before).encode())


def _sections(
    state: State, compiled: Measurement | None, compiled_before: Measurement | None, made_on: date | None
) -> list[Markup | None]:
    now, before = state.try_estimate, state.baseline.try_estimate
    parts: list[Markup | None] = [
        el("h1", title_text(state)),
        _facts(state, made_on or datetime.now(UTC).date()),
        incomplete_note(state),
        totals(state),
    ]
    if now is not None:
        parts += [
            el("h2", "Where the time goes"),
            block_figure(now, before if state.steps else None, lane=False),
            legend(state, memory=False),
            el("h2", "Where the memory goes"),
            memory_figure(now, before if state.steps else None),
        ]
    parts += [
        el("h2", "Before and after"),
        _comparison(state, compiled, compiled_before),
        el("h2", "Blocks in execution order"),
        _blocks(state),
    ]
    if state.steps:
        recipe = state.to_recipe().to_yaml()
        parts += [el("h2", "Steps"), _frame(state.history), el("h2", "Recipe"), el("pre", el("code", recipe))]
    if state.annotations:
        rows = [
            _row([(path or "whole network", "wb-text"), (text, "wb-text wb-free")]) for path, text in state.annotations
        ]
        parts += [el("h2", "Notes"), _table(["block", "note"], rows, text=2)]
    return parts


def _facts(state: State, made_on: date) -> Markup:
    estimate = state.try_estimate
    compiler = estimate.compiler if estimate is not None else getattr(state.target, "compiler", "")
    facts = [("Target configuration", state.target.digest), ("Compiler", compiler), ("Network", state.graph.digest)]
    facts.append(("Weights", state.weights_source if state.base.source is not None else ""))
    named = [el("span", f"{name} ", el("code", value)) for name, value in facts if value]
    return el("div", *named, el("span", made_on.isoformat()), class_="wb-facts")


def _comparison(state: State, compiled: Measurement | None, before: Measurement | None) -> Markup:
    frame = compare_table(state.baseline, state)
    rows = [
        _row(
            [(str(i), "wb-text"), (r["figures"], "wb-text"), (r["before"], ""), (r["after"], ""), _change(r["change"])]
        )
        for i, r in frame.iterrows()
    ]
    if compiled is not None or before is not None:
        rows += _compiled_rows(compiled, before)
    return el(
        "div",
        _table(["metric", "figures", "as opened", "now", "change"], rows, text=2),
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
        cells = [(METRICS[name].label, "wb-text"), (source, "wb-text"), *((t, "") for t in texts)]
        rows.append(_row([*cells, _change(change_text(a, b))]))
    for when, m in (("as opened", before), ("now", compiled)):
        if m is not None and m.status not in ("compiled", "measured"):
            rows.append(el("tr", el("td", f"{when}: {m.status}: {m.reason}", colspan=5, class_="wb-text wb-free")))
    return rows


def _blocks(state: State) -> Markup:
    frame, opened = state.blocks, state.baseline.blocks
    old = dict(zip(opened["name"], opened["latency_ms"], strict=True))
    top = scale_top(*frame["share"], *opened["share"])
    rows = []
    for i, row in enumerate(frame.to_dict("records"), 1):
        latency, share, before = row["latency_ms"], row["share"], old.get(row["name"])
        estimated = not pd.isna(latency)
        swatch = el("i", class_=f"wb-share wb-heat-{heat(share, top)}") if estimated else None
        cells = [
            el("td", i, data_value=i),
            el("td", swatch, el("code", row["name"]), class_="wb-text", data_value=row["name"]),
            el("td", row["kind"], class_="wb-text"),
            el("td", shape_text(row["shape"]), class_="wb-text"),
        ]
        if state.steps:
            cells.append(el("td", metric_text("latency_ms", before), data_value=_sortable(before)))
        cells += [
            el("td", metric_text("latency_ms", latency), data_value=_sortable(latency)),
            el("td", f"{100 * share:.1f} %" if estimated else "unknown", data_value=_sortable(share)),
        ]
        if state.steps:
            text, mood = _change(change_text(before, latency))
            cells.append(
                el("td", text, class_=mood or None, data_value=_sortable(latency / before - 1 if before else None))
            )
        cells += [el("td", metric_text(m, row[m]), data_value=_sortable(row[m])) for m in ("macs", "params")]
        rows.append(el("tr", *cells))
    latencies = ["as opened", "now", "share", "change"] if state.steps else ["latency", "share"]
    return _table(["#", "block", "kind", "output", *latencies, "MACs", "parameters"], rows, text=(1, 2, 3), sort=True)


def _frame(frame: pd.DataFrame) -> Markup:
    """Any table of the state: numbers to the right, text to the left."""
    flat = frame.reset_index()
    numeric = [pd.api.types.is_numeric_dtype(flat[c]) for c in flat.columns]
    rows = []
    for record in flat.itertuples(index=False):
        rows.append(_row([_cell(c, v, n) for c, v, n in zip(flat.columns, record, numeric, strict=True)]))
    names = [{"latency_ms": "latency", "change_ms": "change"}.get(str(c), str(c)) for c in flat.columns]
    return _table(names, rows, text=tuple(i for i, n in enumerate(numeric) if not n))


def _cell(column: Any, value: Any, numeric: bool) -> tuple[str, str]:
    if not numeric:
        return ("" if pd.isna(value) else str(value)), "wb-text wb-free"
    if pd.isna(value):
        return "", ""
    if column in METRICS:
        return metric_text(str(column), value), ""
    if str(column).endswith("_ms"):
        return _change(f"{value:+.3f} ms".replace("-", MINUS))
    return _change(f"{value:+.1f} %".replace("-", MINUS)) if isinstance(value, float) else (str(value), "")


def _change(text: str) -> tuple[str, str]:
    return text, {MINUS: "wb-better", "+": "wb-worse"}.get(text[:1], "")


def _row(cells: list[tuple[str, str]]) -> Markup:
    return el("tr", *(el("td", text, class_=cls or None) for text, cls in cells))


def _table(names: list[str], rows: list[Markup], *, text: int | tuple[int, ...], sort: bool = False) -> Markup:
    left = set(range(text)) if isinstance(text, int) else set(text)
    heads = [el("th", name, scope="col", class_="wb-text" if i in left else None) for i, name in enumerate(names)]
    table = el("table", el("thead", el("tr", *heads)), el("tbody", *rows), data_sort="" if sort else None)
    return el("div", table, class_="wb-wide")


def _sortable(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
