"""The interactive bench: a session that changes by clicking."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from ..errors import WorkbenchError, unknown
from ..metrics import change_text
from ..recipe import from_step
from ..report import picture
from ..report.palette import theme_css
from ..state import State
from ..transforms import describe
from .view import preview_view, session_view

__all__ = ["Bench"]

_STATIC = Path(__file__).parent / "static"
_ACTIONS = ("apply", "preview", "undo", "redo")


class Bench(anywidget.AnyWidget):
    """Blocks coloured by their share of the latency, a form for the transforms, totals that follow every step.

    `bench.session` is the session as it stands after the last click, to go on with in code; assigning another one
    shows that. What cannot be done is said in the status line, and the session stays as it was.

    >>> import workbench as wb
    >>> bench = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96)).bench()
    >>> bench.command = {"id": 1, "action": "apply", "transform": "FuseIBN", "params": {"blocks": "blocks.1.0"}}
    >>> len(bench.session.steps)
    1
    """

    _esm = _STATIC / "bench.js"
    _css = theme_css(".workbench-bench") + (_STATIC / "bench.css").read_text("utf-8")

    session = traitlets.Any(help="The session shown; not sent to the browser.")
    view = traitlets.Dict(help="What is drawn, see `session_view`.").tag(sync=True)
    selection = traitlets.List(traitlets.Unicode(), help="Names of the selected blocks.").tag(sync=True)
    preview = traitlets.Dict(help="`id` of the command and `totals`; empty without a preview.").tag(sync=True)
    command = traitlets.Dict(help="From the browser: id, action, transform, params.").tag(sync=True)
    done = traitlets.Int(help="`id` of the last command that was answered.").tag(sync=True)
    status = traitlets.Unicode(help="One sentence about the last command.").tag(sync=True)
    picture = traitlets.Unicode(help="Which stored picture stands in for it where no kernel runs.").tag(sync=True)
    failed = traitlets.Bool(help="Whether that sentence is an error.").tag(sync=True)

    def __init__(self, session: State) -> None:
        super().__init__(session=session, view=session_view(session), picture=uuid4().hex[:12])

    @traitlets.observe("session")
    def _show(self, change: Any) -> None:
        if change["old"] is traitlets.Undefined or change["old"] is None:
            return
        with self.hold_sync():
            self.view = session_view(self.session)
            names = {block["name"] for block in self.view["blocks"]}
            self.selection = [name for name in self.selection if name in names]
            self.preview = {}

    @traitlets.observe("command")
    def _obey(self, change: Any) -> None:
        command = change["new"]
        if not command:
            return
        with self.hold_sync():
            try:
                self.status, self.failed = self._answer(command), False
            except WorkbenchError as error:
                self.status, self.failed = _sentence(str(error)), True
            except Exception as error:
                # A defect of ours or of a dependency: say so instead of waiting for ever, and let the kernel log it.
                self.status, self.failed = f"{type(error).__name__}: {error}", True
                raise
            finally:
                self.done = int(command.get("id", 0))

    def _answer(self, command: dict[str, Any]) -> str:
        """Carry the command out; what to say about it."""
        action, before = command.get("action"), self.session
        if action == "undo":
            self.session = before.undo()
            return f"Took back {before.changes[-1]}."
        if action == "redo":
            self.session = before.redo()
            return f"Applied {self.session.changes[-1]} again."
        if action not in _ACTIONS:
            raise unknown("action", action, _ACTIONS)
        transform = from_step({"transform": command.get("transform"), **command.get("params", {})})
        after = before.apply(transform)
        effect = _effect(before, after)
        if action == "preview":
            self.preview = {"id": command.get("id", 0), "totals": preview_view(before, after)}
            return f"{describe(transform)} would give {effect}."
        self.session = after
        return f"{describe(transform)} gave {effect}."

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

    def __repr__(self) -> str:
        return f"Bench({self.session!r})"


def _effect(before: State, after: State) -> str:
    a, b = before.try_estimate, after.try_estimate
    if a is None or b is None:
        return f"{change_text(before.graph.macs, after.graph.macs)} MACs"
    return f"{change_text(a.latency_ms, b.latency_ms)} latency (estimated)".replace("±0 %", "no change of")


def _sentence(text: str) -> str:
    """The first line, ended with a full stop; no capital, because it may begin with a block's name."""
    line = (text.strip().splitlines() or ["It did not work"])[0]
    return line + ("" if line.endswith((".", "!", "?")) else ".")
