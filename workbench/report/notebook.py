"""A session as a notebook: its steps as code, the notes beside them, and what each step gave.

The code reads `session.wb` beside the notebook. The outputs are the session's own figures, written without running
anything, so that the notebook reads well where nothing is installed; run again it gives the same ones.
"""

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ..graph.paths import is_inside
from ..transforms import describe
from .overview import picture, title_text
from .tables import change_text, compare_table, metric_text

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["notebook"]


def notebook(session: "Session", file: str = "session.wb") -> str:
    """The notebook as JSON text. file: name of the saved session that its code reads."""
    path = session.path
    cells = [
        _words(f"# {title_text(session)}", _summary(session), _notes(session, "")),
        _code(
            "import pandas as pd\n\nimport workbench as wb\nfrom workbench.report import compare_table\n\n"
            f"session = wb.load({file!r})\nsession",
            _shown(repr(session), picture(session)),
        ),
        _words("## As it was opened"),
        _code("now = session.baseline\nnow.blocks.round(3)", _table(session.baseline.blocks.round(3))),
    ]
    told: set[str] = {""}
    for number, (before, after) in enumerate(pairwise(path), 1):
        title, code = _change(before, after, number)
        touched = _touched(session, before, after) - told
        told |= touched
        look, frame = _looked_at(before, after)
        cells += [
            _words(f"## {number}. {title}", *(_notes(session, where) for where in sorted(touched))),
            _code(f"before, now = now, {code}\n{look}", _table(frame)),
        ]
    if rest := [where for where, _ in session.annotations if where not in told]:
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
    made = new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # nbformat draws them at random: equal sessions make equal notebooks
    return nbformat.writes(made)


def _summary(session: "Session") -> str:
    known, opened = session.try_estimate, session.baseline.try_estimate
    if known is None or opened is None:
        return f"Target configuration {session.target.digest}, not calibrated."
    said = f"{metric_text('latency_ms', known.latency_ms)} estimated ({escape(known.basis)})"
    if session.steps:
        said += f", {change_text(opened.latency_ms, known.latency_ms)} from {len(session.steps)} steps"
    return f"{said}. Target configuration {known.target_digest}, {known.compiler}."


def _change(before: "Session", after: "Session", number: int) -> tuple[str, str]:
    """One change in words, and the code that makes it of `now`."""
    if after.tuned is not before.tuned and after.tuned is not None:
        # weights are no code: they come from the file
        return f"Weights of {escape(after.tuned.said)}", f"session.path[{number}]"
    steps = after.steps[len(before.steps) :]
    calls = [f"wb.{describe(step.transform)}" for step in steps]
    where = "now" if steps[0].planned_on == after.target else f"now.on({steps[0].planned_on.name!r})"
    if not steps[0].recipe:
        return f"`{calls[0]}`", f"{where}.apply({calls[0]})"
    return (
        f"Recipe {escape(steps[0].recipe)}",
        f"{where}.apply(wb.Recipe({steps[0].recipe!r}, ({', '.join(calls)},)))",
    )


def _looked_at(before: "Session", after: "Session") -> tuple[str, pd.DataFrame]:
    """What to look at after a change: how it was learned, or what it costs now."""
    if after.tuned is not None and after.tuned is not before.tuned and after.tuned.epochs:
        return "pd.DataFrame(now.tuned.epochs).round(3)", pd.DataFrame(after.tuned.epochs).round(3)
    return "compare_table(before, now)", compare_table(before, after)


def _touched(session: "Session", before: "Session", after: "Session") -> set[str]:
    """The noted blocks and modules that a change made other than they were."""
    ops = {op.name: op for op in before.graph.ops}
    changed = {op.module for op in after.graph.ops if ops.get(op.name) != op}
    changed |= {op.module for op in before.graph.ops if op.name not in after.graph.by_name}
    return {where for where, _ in session.annotations if where and any(is_inside(module, where) for module in changed)}


def _notes(session: "Session", where: str) -> str:
    """What was noted of a block, as a quotation; text from a session is no markup."""
    texts = [text for path, text in session.annotations if path == where]
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
