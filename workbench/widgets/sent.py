"""What goes between the bench in Python and the bench in the browser, and how the browser comes to draw it."""

from pathlib import Path
from threading import RLock
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from ..report import picture
from ..report.palette import theme_css
from .es_modules import joined

__all__ = ["Sent"]

_STATIC = Path(__file__).parent / "static"


class Sent(anywidget.AnyWidget):
    """The traits that are sent, drawn by the ES modules in static/; `Bench` decides what is in them."""

    _esm = joined(_STATIC, "bench.js")
    _css = theme_css(".workbench-bench") + (_STATIC / "bench.css").read_text("utf-8")

    session = traitlets.Any(help="The session shown; not sent to the browser.")
    view = traitlets.Dict(help="What is drawn, see `session_view`.").tag(sync=True)
    transforms: Any = traitlets.List(help="The forms for any step, see `transform_view`.").tag(sync=True)
    targets = traitlets.List(traitlets.Unicode(), help="Names to choose from.").tag(sync=True)
    looked = traitlets.Bool(help="Whether a browser shows it: then choices are priced ahead.").tag(sync=True)
    selection = traitlets.List(traitlets.Unicode(), help="Names of the selected blocks.").tag(sync=True)
    table = traitlets.Dict(help="The what-if table: of (blocks), rows, text, done.").tag(sync=True)
    curve = traitlets.Dict(help="Behind the slider: label, points, see `curves.points`.").tag(sync=True)
    advice = traitlets.Dict(help="sentence and findings.").tag(sync=True)
    branches = traitlets.Dict(help="See `branches_view`.").tag(sync=True)
    budgets = traitlets.Dict(help="See `budget_view`.").tag(sync=True)
    plan = traitlets.Dict(help="The plan for the budgets: running, text, share, ghost.").tag(sync=True)
    search = traitlets.Dict(help="What a search may be started with, see `search_form`.").tag(sync=True)
    searched = traitlets.Dict(help="The search: stage, text, share, and what it can be told.").tag(sync=True)
    search_code: Any = traitlets.List(help="What was told to the search, as Python.").tag(sync=True)
    front = traitlets.Dict(help="What it has tried, see `front_view`; empty without a study.").tag(sync=True)
    beside = traitlets.List(traitlets.Unicode(), help="Names of targets to show side by side.").tag(sync=True)
    sides = traitlets.Dict(help="rows, see `target_row`, and whether that is all (done).").tag(sync=True)
    deployed = traitlets.Dict(help="The file that is the baseline, see `Deployed.view`.").tag(sync=True)
    marks = traitlets.Dict(help="Colours from what was measured of blocks, see `marks_view`.").tag(sync=True)
    compiling = traitlets.Bool(help="Whether the compiler is at work.").tag(sync=True)
    notes: Any = traitlets.List(help="block, text, changed of each.").tag(sync=True)
    cell = traitlets.Unicode(help="The branch as a cell of Python.").tag(sync=True)
    preview = traitlets.Dict(help="`id` of the command, `totals` and `ghost`; empty without a preview.").tag(sync=True)
    command = traitlets.Dict(help="From the browser: id, action, and what that takes.").tag(sync=True)
    done = traitlets.Int(help="`id` of the last command that was answered.").tag(sync=True)
    status = traitlets.Unicode(help="One sentence about the last command.").tag(sync=True)
    picture = traitlets.Unicode(help="Which stored picture stands in for it where no kernel runs.").tag(sync=True)
    failed = traitlets.Bool(help="Whether that sentence is an error.").tag(sync=True)

    def __init__(self, **values: Any) -> None:
        """values: traits by name."""
        self._lock = RLock()  # of the session and all that is sent of it: clicks and what runs behind them take turns
        super().__init__(picture=uuid4().hex[:12], **values)

    def _set_traits(self, **traits: Any) -> None:
        with self._lock, self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)

    def _ipython_display_(self) -> None:
        """The bench, and before it a picture that stays when the notebook is read without a kernel.

        Lab shows "model not found" for a widget whose kernel is gone, even where other formats stand in the same
        bundle: so the picture is an output of its own, which the living bench hides.
        """
        from IPython.display import display

        html = f'<div class="wb-picture-{self.picture}">{picture(self.session)}</div>'
        display({"text/html": html}, raw=True)
        data, metadata = self._repr_mimebundle_() or ({}, {})
        display(data, metadata=metadata, raw=True)
