"""The search that the bench has started, or was handed: watched, told what to do, its candidates taken over.

The search runs in a process of its own. A lane reads its ledger when that process has said something new, and sends
what changed; clicks wait for neither.
"""

from collections.abc import Callable, Iterator, Mapping
from threading import Event
from time import sleep
from typing import Any

from ..errors import InputError, WorkbenchError, unknown
from ..metrics import METRICS
from ..search.options import OBJECTIVES, STRATEGIES, Options
from ..state import State
from ..training import EMBEDDED
from .front_view import Tried, candidate
from .gestures import sentence
from .lanes import Lane
from .studies import Searches, Stage, Study

__all__ = ["Searching", "search_form"]

_LOOK_S = 0.4
_COUNTS = ("trials", "epochs", "pictures", "seed")
_MEANINGS = {
    "hybrid": "a pool ranked without training, then what promises most is trained",
    "multishot": "evolution, each child trained",
    "single-shot": "ranked by one network that holds all choices",
    "zero-shot": "ranked by scores without training",
}

Send = Callable[..., None]  # traits by name


def search_form(session: State, searches: Searches | None) -> dict[str, Any]:
    """What a search may be started with.

    why: what stands against one, "" where nothing does. task, tasks: the session's, and those by name. strategies,
    objectives: [name, words] each. counts: the defaults of the numbers.
    """
    defaults = Options()
    why = "" if searches is not None else "this bench was opened without a session, which could be searched"
    if searches is not None and session.try_estimate is None:
        why = f"{session.target.name} is not calibrated, so no candidate has a cost"
    if searches is not None and session.base.custom:
        why = "a module of your own is searched by session.search(task): a process of its own does not have it"
    return {
        "why": why,
        "task": "" if searches is None else searches.task(session),
        "tasks": list(EMBEDDED),
        "strategies": [[name, _MEANINGS[name]] for name in STRATEGIES],
        "objectives": [[name, METRICS[name].short] for name in OBJECTIVES if name != "accuracy"],
        "counts": {name: getattr(defaults, name) for name in _COUNTS},
    }


class Searching:
    """One search at a time. send: sets traits of the bench. changed: called once there is more to draw."""

    def __init__(self, searches: Searches | None, free: Event, send: Send, changed: Callable[[], None]) -> None:
        self._searches, self._send, self._changed = searches, send, changed
        self.lane = Lane("search", free)
        self.study: Study | None = None
        self.tried: Tried | None = None
        self._code: list[str] = []
        self._turn: object = None  # of the work whose words count; another one's come too late
        self._under_way, self._share = False, 0.0

    # ---- gestures ------------------------------------------------------------------------------------------------

    def start(self, session: State, command: Mapping[str, Any], budgets: Mapping[str, float]) -> str:
        """Begin a search of the session; what to say about it. budgets: by the names of `estimators.Budgets`."""
        if self._searches is None:
            raise InputError("this bench was opened without a session, which could be searched")
        if self._under_way:
            raise InputError("a search is under way; cancel it, or wait for its end")
        task = str(command.get("task") or "").strip()
        if not task:
            raise InputError(f"a search needs a task: a folder, or one of {', '.join(EMBEDDED)}")
        options = _options(command, budgets)
        workers = command.get("workers")
        more = {} if workers is None else {"workers": workers}
        self._code = [_search_code(task, options, more)]
        self._under_way, self.study, self.tried = True, None, None
        searches = self._searches
        self._begin("starting", "starting: what may be chosen is worked out", 0.0, ["cancel"])
        self._changed()

        def begin() -> None:
            study = searches.start(session, task, **options, **more, block=False)
            if turn is self._turn:
                self.study = study
                self._code = [*self._code, f"# in another kernel: study = wb.attach({study.storage!r})"]
            else:
                study.cancel()

        turn = self._turn
        self.lane.start(lambda: self._doing(begin, turn))
        return f"Searching: {options['strategy']}, {options['trials']} trials on {task}."

    def watch(self, study: Study) -> None:
        """Show a study, such as one that `workbench.attach` gave back."""
        self.study, self.tried, self._under_way = study, None, True
        self._code = [f"study = wb.attach({study.storage!r})"]
        self._do(lambda: None, "looking")

    def pause(self) -> str:
        study = self._running()
        self._do(study.pause, "pausing", "study.pause()")
        return "Nothing new is trained; what is in training is finished."

    def resume(self) -> str:
        study = self._shown()
        self._under_way = True
        self._do(study.resume, "going on", "study.resume()")
        return "The search goes on."

    def cancel(self) -> str:
        if not self._under_way:
            raise InputError("no search is under way")
        if self.study is None:
            self._turn, self._under_way = object(), False
            self._show("cancelled", "cancelled before it began", 0.0, [])
            return "Cancelled before it began."
        self._do(self.study.cancel, "cancelling", "study.cancel()")
        return "Cancelled: what was in training waits again; it can go on."

    def candidate(self, trial: int) -> State:
        """The network of a candidate, without its weights."""
        study, rows = self._shown(), [] if self.tried is None else self.tried.rows
        row = next((row for row in rows if row.number == trial), None)
        if row is None:
            raise unknown("trial", trial, [str(row.number) for row in rows])
        return candidate(study, row)

    def adopted(self, trial: int) -> State:
        """The session with a candidate's steps and the weights it was trained to."""
        state = self._shown().adopt(trial)
        self._code = [*self._code, f"session = study.adopt({trial})"]
        self._send(search_code=self._code)
        return state

    # ---- behind them ---------------------------------------------------------------------------------------------

    def _shown(self) -> Study:
        if self.study is None:
            raise InputError("there is no study yet; start a search")
        return self.study

    def _running(self) -> Study:
        if not self._under_way:
            raise InputError("no search is under way")
        return self._shown()

    def _do(self, order: Callable[[], Any], word: str, code: str = "") -> None:
        """Carry out an order in the lane, and go on watching."""
        self._code = [*self._code, code] if code else self._code
        self._begin(word, f"{word} \N{HORIZONTAL ELLIPSIS}", self._share, [])
        turn = self._turn
        self.lane.start(lambda: self._doing(order, turn))

    def _begin(self, stage: str, text: str, share: float, can: list[str]) -> None:
        """Another piece of work has its turn."""
        self._turn = object()
        self._show(stage, text, share, can)

    def _show(self, stage: str, text: str, share: float, can: list[str]) -> None:
        self._share = share
        self._send(searched={"stage": stage, "text": text, "share": share, "can": can}, search_code=self._code)

    def _doing(self, order: Callable[[], Any], turn: object) -> Iterator[None]:
        yield
        try:
            order()
            yield
            if turn is self._turn and self.study is not None:
                yield from self._watching(self.study, turn)
        except Exception as error:
            if turn is self._turn:
                self._under_way = False
                name = "" if isinstance(error, WorkbenchError) else f"{type(error).__name__}: "
                self._show("failed", sentence(f"{name}{error}"), 0.0, [] if self.study is None else ["resume"])
            if not isinstance(error, WorkbenchError):
                raise  # a defect of ours or of a dependency: the kernel logs it

    def _watching(self, study: Study, turn: object) -> Iterator[None]:
        """Send where the search stands, and what is trained, whenever its driver has said something new."""
        counted: tuple[int, ...] | None = None
        while True:
            told = _told(study)
            status = study.status
            counts = (status.trained, status.stopped, status.failed, int(status.ended))
            if counts != counted:
                rows = [row for row in study.rows if row.trained]
                tried = Tried(study, rows, study.front)
                counted = counts
                if turn is not self._turn:
                    return
                self.tried = tried
                self._changed()
            if turn is not self._turn:
                return
            self._under_way = not status.ended
            done = status.trained + status.stopped + status.failed
            self._show(status.stage, str(status), min(1.0, done / max(1, status.trials)), _can(status))
            yield
            if status.ended:
                return
            while _told(study) == told:
                sleep(_LOOK_S)
                yield


def _told(study: Study) -> tuple[Any, ...]:
    """What a search's processes said last, and were told; the ledger is not read for that."""
    attributes = study.store.attributes
    return attributes.get("status"), attributes.get("request"), len(study.store.drivers())


def _can(status: Stage) -> list[str]:
    if status.stage == "done":
        return []
    if status.ended:
        return ["resume"]
    return ["resume", "cancel"] if status.stage == "paused" else ["pause", "cancel"]


def _options(command: Mapping[str, Any], budgets: Mapping[str, float]) -> dict[str, Any]:
    """The options of a command, checked before anything is started."""
    counts = {name: command[name] for name in _COUNTS if command.get(name) is not None}
    options = {
        "strategy": command.get("strategy", Options.strategy),
        "trials": Options.trials,
        **counts,
        "objectives": ("accuracy", str(command.get("objective", "latency_ms"))),
        "budgets": dict(budgets),
    }
    Options(**options)
    return options


def _search_code(task: str, options: Mapping[str, Any], more: Mapping[str, Any]) -> str:
    shown = {**{name: value for name, value in options.items() if name != "budgets" or value}, **more}
    arguments = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    return f"study = session.search({task!r}, {arguments}, block=False)"
