"""The interactive bench: a session that changes by clicking."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pandas as pd
import traitlets

from ..errors import WorkbenchError, unknown
from ..estimators import Budgets
from ..hardware import list_targets
from ..metrics import METRICS
from ..report import code
from ..state import State
from ..transforms import TRANSFORMS
from .behind import Publish, advising, choosing
from .branches import Branches, branches_view, same_model, state_at
from .choices_view import ghost
from .deployed import Deployed
from .forms import transform_view
from .front_view import front_view
from .gestures import edit_of, effect_text, sentence, whole_number
from .lanes import Lane
from .marks import Mark, mark_of, marks_view
from .notes import Noted, noted_now, notes_view
from .planning import Meet, Planning
from .searching import Searching, search_form
from .sent import Sent
from .sentences import budget_view
from .sides import siding
from .studies import Searches, Study
from .verdicts import Verdicts
from .view import preview_view, session_view

__all__ = ["Bench"]

_PAUSE_S = 0.12  # what is selected one after another is priced once
_LIMITS = {"latency_ms": "latency_ms", "sram_bytes": "sram_kib", "weight_bytes": "model_kib"}
_KIB = {"latency_ms": 1, "sram_bytes": 1024, "weight_bytes": 1024}  # budgets are typed in ms and KiB


class Bench(Sent):
    """Where time and memory go, what may be done about it, and what every step would change, before it is taken.

    `bench.session` is the session as it stands after the last click, to go on with in code; assigning another one
    shows that. What cannot be done is said in the status line, and the session stays as it was. Steps taken are kept as
    branches: undo, and another step, lose none of them.

    >>> import workbench as wb
    >>> bench = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96)).bench()
    >>> bench.command = {"id": 1, "action": "apply", "transform": "FuseIBN", "params": {"blocks": "blocks.1.0"}}
    >>> len(bench.session.steps)
    1
    """

    def __init__(self, session: State, meet: Meet | None = None, searches: Searches | None = None) -> None:
        """meet: finds the plan for budgets; searches: starts searches; without one, what needs it is refused."""
        self._searches = searches
        self._free = Event()
        self._free.set()
        self._choices = Lane("choices", self._free)
        self._planning = Planning(meet, self._free, lambda session, plan: self._publish(session, plan=plan))
        self._verdicts = Verdicts(self._free, self._tell_verdict)
        self._deployed = Deployed(self._free, self._tell_deployed)
        self._sides = Lane("targets", self._free)
        self._searching = Searching(searches, self._free, self._set_traits, self._draw_front)
        self._tree = Branches().grown((*session.changes, *reversed(session.undone)))
        self._against = 0
        self._budgets: dict[str, float] = {}
        self._noted: Noted = {}
        self._marks: dict[str, Mark] = {}
        self._advised = False
        super().__init__(
            session=session,
            transforms=[transform_view(cls) for cls in TRANSFORMS.values()],
            **self._traits_of(session),
        )

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _traits_of(self, session: State) -> dict[str, Any]:
        against = state_at(session, self._tree.changes(self._against))
        self._noted = noted_now(session, self._noted)
        return {
            "view": session_view(session, against, self._deployed.figures(session.target)),
            "deployed": self._deployed.view(session.target),
            "branches": self._branches_of(session),
            "budgets": budget_view(self._budgets, session),
            "marks": marks_view(self._marks, session.graph),
            "notes": notes_view(session, self._noted),
            "cell": code(session),
            "search": search_form(session, self._searches),
            "front": self._front_of(session),
        }

    def _branches_of(self, session: State) -> dict[str, Any]:
        return branches_view(self._tree, session, self._against, self._verdicts.known)

    def _front_of(self, session: State) -> dict[str, Any]:
        tried = self._searching.tried
        return {} if tried is None else front_view(tried, session, self._tree, self._budgets)

    def _draw_front(self) -> None:
        with self._lock:
            self.front = self._front_of(self.session)

    @traitlets.observe("session")
    def _show(self, change: Any) -> None:
        if change["old"] is traitlets.Undefined or change["old"] is None:
            return
        if change["old"].base is not self.session.base:
            self._tree, self._against = Branches(), 0
            self._verdicts.forget()
        self._tree = self._tree.grown((*self.session.changes, *reversed(self.session.undone)))
        with self._lock, self.hold_sync():
            for name, value in self._traits_of(self.session).items():
                setattr(self, name, value)
            names = {block["name"] for block in self.view["blocks"]}
            self.selection = [name for name in self.selection if name in names]
            self.preview = {}
            self._ask_again(advice=True)
            self._ask_compiler()
            self._ask_sides()
            self._deployed.ask(self.session.target)

    @traitlets.observe("looked")
    def _start(self, change: Any) -> None:
        if self.looked:
            self.targets = [str(name) for name in list_targets().query("problem == ''")["name"]]
            self._ask_again(advice=True)
            self._ask_compiler()

    @traitlets.observe("selection")
    def _select(self, change: Any) -> None:
        if change["old"] is not traitlets.Undefined:
            self._ask_again(advice=False)

    @traitlets.observe("beside")
    def _choose_sides(self, change: Any) -> None:
        if change["old"] is not traitlets.Undefined:
            self._ask_sides()

    # ---- commands ------------------------------------------------------------------------------------------------

    @traitlets.observe("command")
    def _obey(self, change: Any) -> None:
        command = change["new"]
        if not command:
            return
        self._free.clear()
        with self._lock, self.hold_sync():
            try:
                self.status, self.failed = self._answer(command), False
            except WorkbenchError as error:
                self.status, self.failed = sentence(str(error)), True
            except Exception as error:
                # A defect of ours or of a dependency: say so instead of waiting for ever, and let the kernel log it.
                self.status, self.failed = f"{type(error).__name__}: {error}", True
                raise
            finally:
                self.done = int(command.get("id", 0))
                self._free.set()

    def _answer(self, command: dict[str, Any]) -> str:
        """Carry the command out; what to say about it."""
        action = str(command.get("action"))
        if action not in _ACTIONS:
            raise unknown("action", command.get("action"), list(_ACTIONS))
        return _ACTIONS[action](self, command)

    def _apply(self, command: dict[str, Any]) -> str:
        before, edit, name = self.session, *edit_of(command)
        after = before.apply(edit)
        after = state_at(after, self._tree.merged(after.changes))
        if command.get("branch"):
            self._tree = self._tree.grown(after.changes)
            self.branches = self._branches_of(before)
            return f"{name} would give {effect_text(before, after)}; it waits among the branches."
        self.session = after
        return f"{name} gave {effect_text(before, after)}."

    def _preview(self, command: dict[str, Any]) -> str:
        before = self.session
        if "trial" in command:
            trial = whole_number(command, "trial")
            after, name = self._searching.candidate(trial).on(before.target), f"Trial {trial}"
        else:
            edit, name = edit_of(command)
            after = before.apply(edit)
        estimate = after.try_estimate
        over = {} if estimate is None or before.try_estimate is None else ghost(before, after.graph, estimate)
        self.preview = {"id": command.get("id", 0), "totals": preview_view(before, after), "ghost": over}
        return f"{name} would give {effect_text(before, after)}."

    def _undo(self, command: dict[str, Any]) -> str:
        before = self.session
        self.session = before.undo()
        return f"Took back {before.changes[-1]}."

    def _redo(self, command: dict[str, Any]) -> str:
        self.session = self.session.redo()
        return f"Applied {self.session.changes[-1]} again."

    def _go(self, command: dict[str, Any]) -> str:
        number = whole_number(command, "node")
        self.session = state_at(self.session, self._tree.changes(number))
        return f"Went to {self._named(number)}."

    def _compare(self, command: dict[str, Any]) -> str:
        number = whole_number(command, "node")
        self._tree.changes(number)
        self._against = number
        self._deployed.choose(None)
        self._set_traits(**self._traits_of(self.session))
        self._ask_sides()
        return f"Shown beside {self._named(number)}."

    def _deploy(self, command: dict[str, Any]) -> str:
        path = Path(str(command.get("path") or "")).expanduser()
        self._deployed.choose(path)
        self._deployed.ask(self.session.target)
        self._set_traits(**self._traits_of(self.session))
        return f"Totals are shown beside {path.name}, as {self.session.target.name} runs it."

    def _aim(self, command: dict[str, Any]) -> str:
        before = self.session
        self.session = before.on(command.get("target"))
        return f"On {self.session.target.name}: {effect_text(before, self.session)}."

    def _note(self, command: dict[str, Any]) -> str:
        block = command.get("block", "")
        self.session = self.session.annotate(block, command.get("text", ""))
        return f"Noted on {block or 'the network'}."

    def _budget(self, command: dict[str, Any]) -> str:
        metric, value = command.get("metric"), command.get("value")
        if metric not in _KIB:
            raise unknown("budget", metric, list(_KIB))
        if value is None:
            self._budgets.pop(metric, None)
        else:
            Budgets(latency_ms=value)  # the rule for a value is the same for all
            self._budgets[metric] = float(value) * _KIB[metric]
        self.budgets = budget_view(self._budgets, self.session)
        self.front = self._front_of(self.session)
        if value is None:
            return f"No budget for {METRICS[metric].short}."
        shown = self.budgets[metric]
        met = {True: "it is met", False: "it is missed", None: "whether it is met is unknown"}[shown["met"]]
        return f"{shown['label']} within {shown['text']}: {met}."

    def _search(self, command: dict[str, Any]) -> str:
        return self._searching.start(self.session, command, self._limits())

    def _pause(self, command: dict[str, Any]) -> str:
        return self._searching.pause()

    def _resume(self, command: dict[str, Any]) -> str:
        return self._searching.resume()

    def _cancel(self, command: dict[str, Any]) -> str:
        return self._searching.cancel()

    def _open(self, command: dict[str, Any]) -> str:
        """A candidate as a branch of what the search began with; of another model the bench shows that."""
        trial, before = whole_number(command, "trial"), self.session
        adopted = self._searching.adopted(trial)
        if not same_model(adopted, before):
            self.session = adopted
            return f"Trial {trial}, of another model: the branches begin anew."
        after = state_at(before, self._tree.merged(adopted.changes))
        if command.get("branch"):
            self._tree = self._tree.grown(after.changes)
            self.branches = self._branches_of(before)
            self.front = self._front_of(before)
            return f"Trial {trial} would give {effect_text(before, after)}; it waits among the branches."
        self.session = after
        return f"Trial {trial} with its weights gave {effect_text(before, after)}."

    def _plan(self, command: dict[str, Any]) -> str:
        return self._planning.start(self.session, Budgets(**self._limits()))

    def _stop(self, command: dict[str, Any]) -> str:
        return self._planning.stop(self.session)

    def _adopt(self, command: dict[str, Any]) -> str:
        before, self.session = self.session, self._planning.taken()
        self.plan = {}
        return f"{self.session.changes[-1]} gave {effect_text(before, self.session)}."

    def _compile(self, command: dict[str, Any]) -> str:
        self._ask_compiler(again=True)
        return f"The compiler of {self.session.target.name} is at work."

    def _named(self, number: int) -> str:
        change = self._tree.nodes[number].change
        return "the model as it was opened" if change is None else str(change)

    # ---- work behind the clicks ----------------------------------------------------------------------------------

    @property
    def study(self) -> Study | None:
        """The study of the search that the bench shows; assign one, such as `workbench.attach` gives, to watch it."""
        return self._searching.study

    @study.setter
    def study(self, study: Study) -> None:
        self._searching.watch(study)

    @property
    def _lanes(self) -> tuple[Lane, ...]:
        own = self._choices, self._sides
        return *own, *(part.lane for part in (self._planning, self._verdicts, self._deployed, self._searching))

    def colour_by(self, table: pd.DataFrame) -> None:
        """Offer what a table says of blocks as a colour: `session.int8_fidelity(images)` or `session.library(task)`."""
        mark = mark_of(self.session, table)
        self._marks[mark.name] = mark
        self.marks = marks_view(self._marks, self.session.graph)

    def code(self) -> str:
        """Every gesture that led to the session, as a cell of Python."""
        return self.cell

    def wait(self, seconds: float = 60.0) -> None:
        """Until what was started behind the clicks is done: prices, plans, compiles, a search."""
        for lane in self._lanes:
            lane.wait(seconds)

    def _publish(self, session: State, **traits: Any) -> bool:
        """Send what was worked out for a session; False where another one is shown by now."""
        with self._lock:
            if self.session is not session:
                return False
            with self.hold_sync():
                for name, value in traits.items():
                    setattr(self, name, value)
            return True

    def _ask_again(self, advice: bool) -> None:
        """Price what may be done to the selection. advice: find what stands out, too, of a network not seen yet."""
        if not self.looked:
            return
        session, blocks = self.session, tuple(self.selection)
        if session.try_estimate is None:
            self.table, self.advice = {"of": [], "rows": [], "text": self.view["note"], "done": True}, {}
            return
        publish = partial(self._publish, session)
        self._advised = self._advised and not advice
        self.curve = {}
        self.table = {"of": list(blocks), "rows": [], "text": "pricing \N{HORIZONTAL ELLIPSIS}", "done": False}
        if advice:
            self.advice = {}

        def work() -> Iterator[None]:
            yield from choosing(session, blocks, publish, None if self._advised else self._advising(session, publish))

        self._choices.start(work, _PAUSE_S)

    def _advising(self, session: State, publish: Publish) -> Iterator[None]:
        yield from advising(session, publish)
        self._advised = True

    def _limits(self) -> dict[str, float]:
        """The budgets by the names of `Budgets`, in its units."""
        return {_LIMITS[name]: value / _KIB[name] for name, value in self._budgets.items()}

    def _ask_sides(self) -> None:
        """What the same network costs on the targets that are shown side by side."""
        if not self.beside:
            return
        session, against = self.session, state_at(self.session, self._tree.changes(self._against))
        self.sides = {"rows": [], "done": False}
        self._sides.start(lambda: siding(session, against, tuple(self.beside), partial(self._publish, session)))

    def _tell_deployed(self) -> None:
        with self._lock:
            self._set_traits(**self._traits_of(self.session))

    def _ask_compiler(self, again: bool = False) -> None:
        number = self._tree.number(self.session.changes)
        self.compiling = self.looked and self._verdicts.ask(self.session, number, again)

    def _tell_verdict(self) -> None:
        self._set_traits(branches=self._branches_of(self.session), compiling=False)

    def close(self) -> None:
        for lane in self._lanes:
            lane.stop()
        super().close()

    def __repr__(self) -> str:
        return f"Bench({self.session!r})"


_ACTIONS: Mapping[str, Callable[[Bench, dict[str, Any]], str]] = {
    "apply": Bench._apply,
    "preview": Bench._preview,
    "undo": Bench._undo,
    "redo": Bench._redo,
    "go": Bench._go,
    "compare": Bench._compare,
    "deployed": Bench._deploy,
    "aim": Bench._aim,
    "note": Bench._note,
    "budget": Bench._budget,
    "search": Bench._search,
    "pause": Bench._pause,
    "resume": Bench._resume,
    "cancel": Bench._cancel,
    "open": Bench._open,
    "plan": Bench._plan,
    "stop": Bench._stop,
    "adopt": Bench._adopt,
    "compile": Bench._compile,
}
