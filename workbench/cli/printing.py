"""Answers on stdout: tables for people, with units, or one JSON document; progress goes to stderr."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["print_json", "print_table", "records", "working"]


def print_table(frame: "pd.DataFrame", title: str, index: bool = True) -> None:
    """A DataFrame as a table for the terminal; numbers as the package writes them."""
    from ..table import Table

    texts = frame.texts() if isinstance(frame, Table) else Table(frame).texts()
    drawn = Drawn(title=Text(title))
    if index:
        drawn.add_column(str(frame.index.name or ""))
    for column, kind in frame.dtypes.items():
        drawn.add_column(Text(str(column)), justify="right" if kind.kind in "fiu" else "left")
    for key, row in zip(texts.index, texts.itertuples(index=False), strict=True):
        # a selector in brackets is no markup of rich's
        drawn.add_row(*([Text(str(key))] if index else []), *(Text(cell) for cell in row))
    Console().print(drawn)


def print_json(answer: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document; what is unknown is null, a transform the step a recipe would hold."""
    print(json.dumps(_plain(answer), indent=2, ensure_ascii=False, allow_nan=False))


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """A row a mapping, the index included where it has a name."""
    flat = frame.reset_index() if frame.index.name else frame
    return [dict(zip(flat.columns, row, strict=True)) for row in flat.itertuples(index=False, name=None)]


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life on stderr while the body runs; nothing where stderr is no terminal."""
    with Console(stderr=True).status(Text(what)):
        yield


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    from ..recipe import to_step
    from ..transforms import Transform

    if isinstance(value, Transform):
        return to_step(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inside) for inside in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "item"):  # numpy's own scalars
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (int, bool)) else None if type(value).__name__ == "NAType" else str(value)
