"""Tables whose numbers stay numbers and are shown as the workbench writes them.

A cell is written by what its column is called; where the column is no figure itself ("before", "compiled") by the
figure its row is called after: the index "metric", or the column "figure".
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from .metrics import DASH, METRICS, UNKNOWN, number_text, percent_text, quantity_text, shape_text, signed_text

__all__ = ["Table"]

_UNITS = {
    **{name: metric.unit for name, metric in METRICS.items()},
    "MB": "MB", "accuracy": "share", "exported": "share", "module": "share", "score": "share", "share": "share",
    "top-1 accuracy": "share", "mAP": "share", "mIoU": "share",
    "top1_agreement": "share",
}  # fmt: skip
_ENDINGS = {
    "_ms": "ms", "_s": "s", "seconds": "s", "_mhz": "MHz", "_bytes": "bytes", "kib": "KiB", "_accuracy": "share",
}  # fmt: skip
_PERCENT = re.compile(r"%$|_percent$")
_CHANGE = re.compile(r"^change(_|$)")
_TABLES_OF_OTHER_VALUES = frozenset({"corr", "cov", "pct_change", "rank"})  # pandas' methods that give them


class Table(pd.DataFrame):
    """A DataFrame, in every respect, that is shown with units; `texts` gives every cell as it is shown.

    changes: columns that hold differences although their names do not say so ("latency_ms" of a suggestion). units: of
    columns whose names say another one; "" writes a column's numbers as they are.

    >>> table = Table({"block": ["stem"], "latency_ms": [0.08417], "share": [0.183]})
    >>> table
      block latency_ms   share
    0  stem   0.084 ms  18.3 %
    >>> table["latency_ms"].sum()
    np.float64(0.08417)
    """

    _metadata: ClassVar[list[str]] = ["changes", "units", "of_other_values"]
    changes: tuple[str, ...]
    units: Mapping[str, str]
    of_other_values: bool

    def __init__(
        self,
        data: Any = None,
        *args: Any,
        changes: Sequence[str] = (),
        units: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data, *args, **options)  # type: ignore[call-arg]
        self.changes, self.units, self.of_other_values = tuple(changes), dict(units or {}), False
        if isinstance(data, pd.DataFrame):
            self.attrs.update(data.attrs)
        if isinstance(data, Table):
            self.changes, self.units = (*data.changes, *self.changes), {**data.units, **self.units}

    @property
    def _constructor(self) -> Callable[..., "Table"]:
        return Table

    def __finalize__(self, other: Any, method: str | None = None, **options: Any) -> "Table":
        table: Table = super().__finalize__(other, method=method, **options)  # type: ignore[misc]
        table.of_other_values |= method in _TABLES_OF_OTHER_VALUES
        return table

    def texts(self) -> pd.DataFrame:
        """Every cell as text."""
        if self.of_other_values:
            return pd.DataFrame(self).map(_plain_text)
        rows = self._row_figures()
        texts = {}
        for place, column in enumerate(self.columns):
            cells = self.iloc[:, place]
            numeric = pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype)
            signed = str(column) in self.changes or _CHANGE.search(str(column)) is not None
            texts[place] = [
                self._text(str(column), figure, cell, signed) if numeric or _is_number(cell) else _word(column, cell)
                for figure, cell in zip(rows, cells, strict=True)
            ]
        frame = pd.DataFrame(texts, index=self.index, dtype=object)
        frame.columns = self.columns
        return frame

    def _row_figures(self) -> list[str]:
        """What each row is a figure of, "" where the columns say it."""
        if self.index.name == "metric":
            return [str(name) for name in self.index]
        if "figure" in self.columns:
            return [str(name) for name in self["figure"]]
        return [""] * len(self)

    def _text(self, column: str, figure: str, value: Any, signed: bool) -> str:
        if pd.isna(value):
            return UNKNOWN if (column in METRICS or figure in METRICS) and not signed else DASH
        if _PERCENT.search(column):
            return percent_text(float(value))
        unit = self.units[column] if column in self.units else _unit(column) or _unit(figure)
        if unit == "KiB":
            value, unit = 1024 * value, "bytes"
        if unit:
            return signed_text(float(value), unit) if signed else quantity_text(float(value), unit)
        return _plain_text(value)

    def __repr__(self) -> str:
        return repr(self.texts())

    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_colwidth", None):  # a browser wraps sentences; cut off they say nothing
            html: str | None = self.texts()._repr_html_()  # type: ignore[operator]
        return html


def _unit(name: str) -> str:
    return _UNITS.get(name) or next((unit for ending, unit in _ENDINGS.items() if name.endswith(ending)), "")


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and value == value


def _plain_text(value: Any) -> str:
    """A number without a unit; whole ones as they are."""
    if isinstance(value, str):
        return value
    if not pd.isna(value) and float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value)}"
    return number_text(float("nan") if pd.isna(value) else float(value))


def _word(column: Hashable, cell: Any) -> str:
    """A cell that is no number; "" for what is not there."""
    if column == "shape":
        return shape_text(cell)
    if isinstance(cell, bool) or type(cell).__name__ == "bool":
        return "yes" if cell else "no"
    if cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return ""
    return str(cell)
