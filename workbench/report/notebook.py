"""A session as a notebook: its steps as code, the notes beside them, and what each step gave.

The code reads `session.wb` beside the notebook. The outputs are the session's own figures, written without running
anything, so that the notebook reads well where nothing is installed; run again it gives the same ones.
"""

from html import escape
from itertools import pairwise
from typing import Any

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ..graph.paths import is_inside
from ..metrics import change_text, metric_text
from ..state import Change, Learned, State
from ..table import Table
from .code import change_code, target_code
from .overview import picture, title_text
from .tables import compare_table

__all__ = ["notebook"]


def notebook(session: State, file: str = "session.wb") -> str:
    """The notebook as JSON text. file: name of the saved session that its code reads."""
    path = session.path
    cells = [
        _words(f"# {title_text(session)}", _summary(session), _notes(session, "")),
        _code(
            "import workbench as wb\nfrom workbench.report import compare_table\nfrom workbench.table import Table\n\n"
            f"session = wb.load({file!r})\nsession",
            _shown(repr(session), picture(session)),
        ),
        _words("## As it was opened"),
        _code("now = session.baseline\nnow.blocks", _table(session.baseline.blocks)),
    ]
    placed: set[str] = {""}
    for number, (before, after) in enumerate(pairwise(path), 1):
        title, code = _change(after.changes[-1], session, number)
        touched = _touched(session, before, after) - placed
        placed |= touched
        look, frame = _result(before, after)
        cells += [
            _words(f"## {number}. {title}", *(_notes(session, where) for where in sorted(touched))),
            _code(f"before, now = now, {code}\n{look}", _table(frame)),
        ]
    if rest := [where for where, _ in session.annotations if where not in placed]:
        cells.append(_words("## Notes", *(_notes(session, where) for where in dict.fromkeys(rest))))
    cells += [
        _words("## Before and after"),
        _code(
            "compare_table(session.baseline, session)",
            _table(compare_table(session.baseline, session)),
        ),
        _words("The compiler's word on it:"),
        _code("session.verify()"),
    ]
    document = new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    for number, cell in enumerate(document.cells):
        cell["id"] = f"cell-{number}"  # nbformat draws them at random: equal sessions make equal notebooks
    return nbformat.writes(document)


def _summary(state: State) -> str:
    estimate, opened = state.try_estimate, state.baseline.try_estimate
    weights = f" Weights {escape(state.weights_source)}." if state.base.source is not None else ""
    if estimate is None or opened is None:
        return f"Target configuration {state.target.digest}, not calibrated.{weights}"
    text = f"{metric_text('latency_ms', estimate.latency_ms)} estimated ({escape(estimate.basis)})"
    if state.steps:
        text += f", {change_text(opened.latency_ms, estimate.latency_ms)} from {len(state.steps)} steps"
    return f"{text}. Target configuration {estimate.target_digest}, {estimate.compiler}.{weights}"


def _change(change: Change, session: State, number: int) -> tuple[str, str]:
    """One change in words, and the code that makes it of `now`, on the session's target."""
    if isinstance(change, Learned):
        # weights are no code: they come from the file
        return f"Weights of {escape(change.source)}", f"session.path[{number}]"
    where = "now" if change.planned_on == session.target else f"now.on({target_code(change.planned_on)})"
    title = f"Recipe {escape(change.recipe)}" if change.recipe else f"`{change}`"
    return title, change_code(change, where)


def _result(before: State, after: State) -> tuple[str, pd.DataFrame]:
    """What to look at after a change: how it was learned, or what it costs now."""
    change = after.changes[-1]
    if isinstance(change, Learned) and change.epochs:
        return "Table(now.learned.epochs)", Table(change.epochs)
    return "compare_table(before, now)", compare_table(before, after)


def _touched(state: State, before: State, after: State) -> set[str]:
    """The noted blocks and modules that a change made other than they were."""
    ops = {op.name: op for op in before.graph.ops}
    changed = {op.module for op in after.graph.ops if ops.get(op.name) != op}
    changed |= {op.module for op in before.graph.ops if op.name not in after.graph.by_name}
    return {where for where, _ in state.annotations if where and any(is_inside(module, where) for module in changed)}


def _notes(state: State, where: str) -> str:
    """What was noted of a block, as a quotation; text from a session is no markup."""
    notes = state.notes[state.notes["where"] == where]
    texts = [
        text + (f" ({since})" if since not in ("", "as it was") else "")
        for text, since in zip(notes["note"], notes["since"], strict=True)
    ]
    head = f"`{where}`: " if where else ""
    return "\n>\n".join(f"> {head}" + "\n> ".join(escape(text).splitlines()) for text in texts)


def _words(*parts: str) -> Any:
    return new_markdown_cell("\n\n".join(part for part in parts if part))


def _code(source: str, *outputs: Any) -> Any:
    return new_code_cell(source, outputs=list(outputs))


def _table(frame: pd.DataFrame) -> Any:
    with pd.option_context("display.max_columns", 20):  # as in a kernel; in a terminal pandas fits its width
        return _shown(repr(frame), frame._repr_html_())  # type: ignore[operator]


def _shown(plain: str, html: str) -> Any:
    # display_data: an execute_result would need the number of a run that never was
    return new_output("display_data", data={"text/plain": plain, "text/html": html})
