"""Tables of the page: numbers to the right, text to the left, better and worse coloured."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..metrics import MINUS
from ..table import Table
from .markup import Markup, el

__all__ = ["Cell", "change_cell", "frame_table", "plain_table", "row", "sortable"]

Cell = tuple[str, str]  # text and class


def frame_table(frame: pd.DataFrame) -> Markup:
    """Any table of a state, its index included, written as everywhere."""
    flat = Table(frame.reset_index() if frame.index.name else frame)
    numeric = [pd.api.types.is_numeric_dtype(flat[c]) for c in flat.columns]
    rows = []
    for texts in flat.texts().itertuples(index=False):
        rows.append(row([_cell(c, v, n) for c, v, n in zip(flat.columns, texts, numeric, strict=True)]))
    names = [{"latency_ms": "latency", "change_ms": "change"}.get(str(c), str(c)) for c in flat.columns]
    return plain_table(names, rows, text=tuple(i for i, n in enumerate(numeric) if not n))


def change_cell(text: str) -> Cell:
    """A change of a cost: less is better."""
    return text, {MINUS: "wb-better", "+": "wb-worse"}.get(text[:1], "")


def row(cells: Sequence[Cell]) -> Markup:
    """One row of a table."""
    return el("tr", *(el("td", text, class_=cls or None) for text, cls in cells))


def plain_table(
    names: Sequence[str],
    rows: Sequence[Markup],
    *,
    text: int | tuple[int, ...],
    sort: bool = False,
    roomy: Sequence[int] = (),
) -> Markup:
    """text: how many of the first columns, or which ones, are text. sort: whether headings sort it. roomy: columns that
    a narrow screen leaves out; their cells have the class wb-roomy, too.
    """
    left = set(range(text)) if isinstance(text, int) else set(text)
    classes = [" ".join(["wb-text"] * (i in left) + ["wb-roomy"] * (i in roomy)) for i in range(len(names))]
    heads = [el("th", name, scope="col", class_=cls or None) for name, cls in zip(names, classes, strict=True)]
    table = el("table", el("thead", el("tr", *heads)), el("tbody", *rows), data_sort="" if sort else None)
    return el("div", table, class_="wb-wide", tabindex="0", role="region", aria_label=", ".join(names))


def sortable(value: Any) -> str:
    """What a column is sorted by."""
    return "" if pd.isna(value) else str(value)


def _cell(column: Any, text: str, numeric: bool) -> Cell:
    if not numeric:
        return text, "wb-text wb-free"
    return change_cell(text) if str(column).startswith("change") else (text, "")
