"""The interactive bench: a session that changes by clicking."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event, RLock
from time import monotonic
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from ..advice import findings, losses_of
from ..errors import BudgetError, InputError, WorkbenchError, unknown
from ..estimators import Budgets
from ..hardware import Measurement, list_targets
from ..metrics import METRICS, change_text
from ..progress import Progress
from ..recipe import Recipe, from_step
from ..report import picture
from ..report.palette import theme_css
from ..state import State
from ..surgery import measured_weights
from ..transforms import TRANSFORMS, Transform, describe
from .branches import Branches, branches_view, state_at
from .choices_view import PricedChoice, choices_for, estimated, ghost, priced, row
from .es_modules import joined
from .forms import transform_view
from .lanes import Lane
from .sentences import branch_code, budget_view, findings_view, first_sentence
from .view import preview_view, session_view

__all__ = ["Bench", "Meet"]

_STATIC = Path(__file__).parent / "static"
_ROWS = 24  # of the what-if table: so many are estimated whole
_EVERY_S = 0.3  # so often a table on its way is sent
_PAUSE_S = 0.12  # what is selected one after another is priced once
_KEPT = 0.99  # of the multiply-accumulates
_KIB = {"latency_ms": 1, "sram_bytes": 1024, "weight_bytes": 1024}  # budgets are typed in ms and KiB

# state, budgets, progress, called with each plan that is tried -> the state that meets them
Meet = Callable[[Any, Budgets, Progress, Callable[[Any], None]], Any]


class Bench(anywidget.AnyWidget):
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

    _esm = joined(_STATIC, "bench.js")
    _css = theme_css(".workbench-bench") + (_STATIC / "bench.css").read_text("utf-8")

    session = traitlets.Any(help="The session shown; not sent to the browser.")
    view = traitlets.Dict(help="What is drawn, see `session_view`.").tag(sync=True)
    transforms = traitlets.List(help="The forms for any step, see `transform_view`.").tag(sync=True)
    targets = traitlets.List(traitlets.Unicode(), help="Names to choose from.").tag(sync=True)
    looked = traitlets.Bool(help="Whether a browser shows it: then choices are priced ahead.").tag(sync=True)
    selection = traitlets.List(traitlets.Unicode(), help="Names of the selected blocks.").tag(sync=True)
    table = traitlets.Dict(help="The what-if table: of (blocks), rows, text, done.").tag(sync=True)
    advice = traitlets.Dict(help="sentence and findings.").tag(sync=True)
    branches = traitlets.Dict(help="See `branches_view`.").tag(sync=True)
    budgets = traitlets.Dict(help="See `budget_view`.").tag(sync=True)
    plan = traitlets.Dict(help="The plan for the budgets: running, text, share, ghost.").tag(sync=True)
    compiling = traitlets.Bool(help="Whether the compiler is at work.").tag(sync=True)
    notes = traitlets.List(help="block, text of each.").tag(sync=True)
    code = traitlets.Unicode(help="The branch as a cell of Python.").tag(sync=True)
    preview = traitlets.Dict(help="`id` of the command, `totals` and `ghost`; empty without a preview.").tag(sync=True)
    command = traitlets.Dict(help="From the browser: id, action, and what that takes.").tag(sync=True)
    done = traitlets.Int(help="`id` of the last command that was answered.").tag(sync=True)
    status = traitlets.Unicode(help="One sentence about the last command.").tag(sync=True)
    picture = traitlets.Unicode(help="Which stored picture stands in for it where no kernel runs.").tag(sync=True)
    failed = traitlets.Bool(help="Whether that sentence is an error.").tag(sync=True)

    def __init__(self, session: State, meet: Meet | None = None) -> None:
        """meet: finds the plan for budgets; without it there is no such button."""
        self._meet = meet
        self._lock, self._free = RLock(), Event()
        self._free.set()
        self._lanes = {name: Lane(name, self._free) for name in ("choices", "plan", "compiler")}
        self._tree = Branches().grown((*session.changes, *reversed(session.undone)))
        self._against = 0
        self._verdicts: dict[tuple[int, str], Measurement] = {}
        self._budgets: dict[str, float] = {}
        self._planned: State | None = None
        super().__init__(
            session=session,
            transforms=[transform_view(cls) for cls in TRANSFORMS.values()],
            picture=uuid4().hex[:12],
            **self._traits_of(session),
        )

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _traits_of(self, session: State) -> dict[str, Any]:
        against = state_at(session, self._tree.changes(self._against))
        return {
            "view": session_view(session, against),
            "branches": branches_view(self._tree, session, self._against, self._verdicts),
            "budgets": budget_view(self._budgets, session),
            "notes": [{"block": path, "text": text} for path, text in session.annotations],
            "code": branch_code(session),
        }

    @traitlets.observe("session")
    def _show(self, change: Any) -> None:
        if change["old"] is traitlets.Undefined or change["old"] is None:
            return
        if change["old"].base is not self.session.base:
            self._tree, self._against, self._verdicts = Branches(), 0, {}
        self._tree = self._tree.grown((*self.session.changes, *reversed(self.session.undone)))
        with self._lock, self.hold_sync():
            for name, value in self._traits_of(self.session).items():
                setattr(self, name, value)
            names = {block["name"] for block in self.view["blocks"]}
            self.selection = [name for name in self.selection if name in names]
            self.preview = {}
            self._ask_again(advice=True)
            self._ask_compiler()

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
                self.status, self.failed = _sentence(str(error)), True
            except Exception as error:
                # A defect of ours or of a dependency: say so instead of waiting for ever, and let the kernel log it.
                self.status, self.failed = f"{type(error).__name__}: {error}", True
                raise
            finally:
                self.done = int(command.get("id", 0))
                self._free.set()

    def _answer(self, command: dict[str, Any]) -> str:
        """Carry the command out; what to say about it."""
        action = command.get("action")
        if action not in _ACTIONS:
            raise unknown("action", action, list(_ACTIONS))
        return _ACTIONS[action](self, command)

    def _apply(self, command: dict[str, Any]) -> str:
        before, edit, name = self.session, *_edit(command)
        after = before.apply(edit)
        if command.get("branch"):
            self._tree = self._tree.grown(after.changes)
            self.branches = branches_view(self._tree, before, self._against, self._verdicts)
            return f"{name} would give {_effect(before, after)}; it waits among the branches."
        self.session = after
        return f"{name} gave {_effect(before, after)}."

    def _preview(self, command: dict[str, Any]) -> str:
        before, edit, name = self.session, *_edit(command)
        after = before.apply(edit)
        estimate = after.try_estimate
        over = {} if estimate is None or before.try_estimate is None else ghost(before, after.graph, estimate)
        self.preview = {"id": command.get("id", 0), "totals": preview_view(before, after), "ghost": over}
        return f"{name} would give {_effect(before, after)}."

    def _undo(self, command: dict[str, Any]) -> str:
        before = self.session
        self.session = before.undo()
        return f"Took back {before.changes[-1]}."

    def _redo(self, command: dict[str, Any]) -> str:
        self.session = self.session.redo()
        return f"Applied {self.session.changes[-1]} again."

    def _go(self, command: dict[str, Any]) -> str:
        number = _whole(command, "node")
        self.session = state_at(self.session, self._tree.changes(number))
        return f"Went to {self._named(number)}."

    def _compare(self, command: dict[str, Any]) -> str:
        number = _whole(command, "node")
        self._tree.changes(number)
        self._against = number
        for name, value in self._traits_of(self.session).items():
            setattr(self, name, value)
        return f"Shown beside {self._named(number)}."

    def _aim(self, command: dict[str, Any]) -> str:
        before = self.session
        self.session = before.on(command.get("target"))
        return f"On {self.session.target.name}: {_effect(before, self.session)}."

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
        if value is None:
            return f"No budget for {METRICS[metric].short}."
        shown = self.budgets[metric]
        met = {True: "it is met", False: "it is missed", None: "whether it is met is unknown"}[shown["met"]]
        return f"{shown['label']} within {shown['text']}: {met}."

    def _plan(self, command: dict[str, Any]) -> str:
        if self._meet is None or not self._budgets:
            raise InputError("a plan needs a budget; type one under latency, SRAM or weights")
        self._planned = None
        self.plan = {"running": True, "text": "looking for a plan", "share": 0.0, "ghost": {}, "ready": False}
        self._lanes["plan"].start(self._planning)
        return "Looking for the steps that meet the budgets."

    def _stop(self, command: dict[str, Any]) -> str:
        self._lanes["plan"].stop()
        best = "the best plan so far stays" if self._planned is not None else "no plan was found yet"
        self.plan = {**self.plan, "running": False, "ready": self._planned is not None}
        return f"Stopped; {best}."

    def _adopt(self, command: dict[str, Any]) -> str:
        if self._planned is None:
            raise InputError("there is no plan to take; set a budget and let one be found")
        before, self.session, self._planned = self.session, self._planned, None
        self.plan = {}
        return f"{self.session.changes[-1]} gave {_effect(before, self.session)}."

    def _compile(self, command: dict[str, Any]) -> str:
        self._ask_compiler(even_where_known=True)
        return f"The compiler of {self.session.target.name} is at work."

    def _named(self, number: int) -> str:
        change = self._tree.nodes[number].change
        return "the model as it was opened" if change is None else str(change)

    # ---- work behind the clicks ----------------------------------------------------------------------------------

    def wait(self, seconds: float = 60.0) -> None:
        """Until what was started behind the clicks is done: prices, plans, compiles."""
        for lane in self._lanes.values():
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
        if not self.looked:
            return
        if self.session.try_estimate is None:
            self.table, self.advice = {"of": [], "rows": [], "text": self.view["note"], "done": True}, {}
            return
        self._lanes["choices"].start(lambda: self._pricing(self.session, tuple(self.selection), advice), _PAUSE_S)

    def _pricing(self, session: State, blocks: tuple[str, ...], advice: bool) -> Iterator[None]:
        """Price the choices, send the best as they come, then estimate these whole."""
        rest, items = 0, []
        sent = monotonic()

        def table(rows: list[dict[str, Any]], text: str, done: bool = False) -> bool:
            return self._publish(session, table={"of": list(blocks), "rows": rows, "text": text, "done": done})

        for choice, names in choices_for(session.graph, blocks):
            item = priced(session, choice, names)
            yield
            rest += 1
            if item is not None:
                items.append(item)
                items.sort(key=lambda priced: priced.latency_ms)
            if monotonic() - sent > _EVERY_S:
                if not table([row(session, item) for item in items[:_ROWS]], f"{rest} choices tried"):
                    return
                sent = monotonic()
        best = items[:_ROWS]
        left = f", the best {len(best)} shown; select blocks for theirs" if len(items) > len(best) else ""
        text = f"{len(items)} of {rest} steps apply{left}" if items else "No step applies to all that is selected"
        rows = [row(session, item) for item in best]
        if not blocks and (number := _to_begin_with(session, best)) is not None:
            rows[number]["first"] = True
        table(rows, text)
        if advice:
            yield from self._advising(session)
        for number, item in enumerate(best):
            rows[number] |= row(session, item, estimated(session, item))
            yield
            if monotonic() - sent > _EVERY_S:
                table(rows, text)
                sent = monotonic()
        if not table(rows, text, done=session.untrained):
            return
        if not session.untrained:
            yield from self._losing(session, best, rows, lambda done: table(rows, text, done))

    def _losing(
        self, session: State, items: list[PricedChoice], rows: list[dict[str, Any]], send: Callable[[bool], bool]
    ) -> Iterator[None]:
        """The loss predicted for every row: the relative error of the block's output."""
        try:
            losses = losses_of(session, None)
            yield
            for number, item in enumerate(items):
                loss = None if losses is None else losses.of(item.option.plans, item.option.block)
                rows[number] = {**rows[number], "loss": None if loss is None else {"value": loss, "text": f"{loss:.3f}"}}
                yield
                if number % 4 == 3 and not send(False):
                    return
        except WorkbenchError:
            pass  # a network that does not read one image: its losses stay unknown
        send(True)

    def _advising(self, session: State) -> Iterator[None]:
        table = findings(session)
        yield
        self._publish(session, advice={"sentence": first_sentence(session, table), "findings": findings_view(table)})

    def _planning(self) -> Iterator[None]:
        session, lane, meet = self.session, self._lanes["plan"], self._meet
        budgets = Budgets(*(self._budgets[name] / by if name in self._budgets else None for name, by in _KIB.items()))
        assert meet is not None
        yield

        def progress(part: str, number: int, total: int) -> None:
            if lane.stopped:
                raise _Stopped
            now = self.plan
            if self._planned is None:
                self._publish(session, plan={**now, "text": part, "share": number / max(total, 1)})

        def candidate(state: State | None) -> None:
            if lane.stopped:
                raise _Stopped
            if state is not None:
                self._offer(session, state, f"{state.changes[-1] if state.changes else 'as it is'}", running=True)

        try:
            state = meet(session, budgets, progress, candidate)
            self._offer(session, state, str(state.changes[-1]) if state.changes else "The budgets are met as it is")
        except BudgetError as error:
            near = error.nearest
            if isinstance(near, State):
                self._offer(session, near, f"{_sentence(str(error))} Nearest: {near.changes[-1] if near.changes else ''}")
            else:
                self._publish(session, plan={"running": False, "text": str(error), "share": 1.0, "ready": False})
        except WorkbenchError as error:
            self._publish(session, plan={"running": False, "text": str(error), "share": 1.0, "ready": False})
        except _Stopped:
            pass

    def _offer(self, session: State, state: State, text: str, running: bool = False) -> None:
        """Show a plan over the session, to be taken."""
        self._planned = state if state.changes != session.changes else None
        plan = {
            "running": running,
            "text": text,
            "share": 1.0,
            "ready": self._planned is not None and not running,
            "ghost": ghost(session, state.graph, state.estimate),
        }
        self._publish(session, plan=plan)

    def _ask_compiler(self, even_where_known: bool = False) -> None:
        """Have the network compiled, where a compiler stands behind the target, and keep its verdict on the node."""
        session, number = self.session, self._tree.number(self.session.changes)
        known = (number, session.target.digest) in self._verdicts
        if number is None or not self.looked or (not even_where_known and (known or not session.target.compiles_tflite)):
            return

        def work() -> Iterator[None]:
            yield
            graph, weights, _ = measured_weights(session)
            yield
            measurement = session.target.measure_graph(graph, weights)
            self._verdicts[number, session.target.digest] = measurement
            with self._lock:
                shown = branches_view(self._tree, self.session, self._against, self._verdicts)
                with self.hold_sync():
                    self.branches, self.compiling = shown, False

        self.compiling = True
        self._lanes["compiler"].start(work, 4 * _PAUSE_S)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.stop()
        super().close()

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


class _Stopped(Exception):
    """Somebody stopped the plan."""


_ACTIONS: Mapping[str, Callable[[Bench, dict[str, Any]], str]] = {
    "apply": Bench._apply,
    "preview": Bench._preview,
    "undo": Bench._undo,
    "redo": Bench._redo,
    "go": Bench._go,
    "compare": Bench._compare,
    "aim": Bench._aim,
    "note": Bench._note,
    "budget": Bench._budget,
    "plan": Bench._plan,
    "stop": Bench._stop,
    "adopt": Bench._adopt,
    "compile": Bench._compile,
}


def _to_begin_with(session: State, items: list[PricedChoice]) -> int | None:
    """The step that saves most of those that take no arithmetic away: it can be shown before losses are known."""
    kept = [n for n, item in enumerate(items) if item.latency_ms < 0 and item.graph.macs >= _KEPT * session.graph.macs]
    return min(kept, key=lambda n: items[n].latency_ms, default=None)


def _edit(command: dict[str, Any]) -> tuple[Transform | Recipe, str]:
    """What a command applies, and its name: one transform from the form, or the steps of a row."""
    steps = command.get("steps")
    if steps is None:
        transform = from_step({"transform": command.get("transform"), **command.get("params", {})})
        return transform, describe(transform)
    transforms = tuple(from_step(step) for step in steps)
    if len(transforms) == 1:
        return transforms[0], describe(transforms[0])
    recipe = Recipe(str(command.get("name") or "several steps"), transforms)
    return recipe, recipe.name


def _whole(command: dict[str, Any], key: str) -> int:
    value = command.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{key} is {value!r}; it must be a whole number")
    return value


def _effect(before: State, after: State) -> str:
    a, b = before.try_estimate, after.try_estimate
    if a is None or b is None:
        return f"{change_text(before.graph.macs, after.graph.macs)} MACs"
    return f"{change_text(a.latency_ms, b.latency_ms)} latency (estimated)".replace("±0 %", "no change of")


def _sentence(text: str) -> str:
    """The first line, ended with a full stop; no capital, because it may begin with a block's name."""
    line = (text.strip().splitlines() or ["It did not work"])[0]
    return line + ("" if line.endswith((".", "!", "?")) else ".")
