"""A study in Optuna's storage: one trial a candidate, everything else in plain attributes, files beside it.

    trial      parameters: slot -> label of its choice; state and values as Optuna has them; constraints: the budgets
               user attributes: row (choices, kind, graph, costs), scores/NAME, driver, result, reason
    study      user attributes: study (the session's file, task, space, options), request (what its drivers are told),
               status (what they say), driver/ID (its process, and when it was last heard of), test/NUMBER
    files      weights/SHA256.safetensors, evidence/SHA256.safetensors, session.wb and driver.log, in a folder beside a
               SQLite file of the same name, below WORKBENCH_HOME/studies for any other storage

A candidate waits, is claimed by one driver, runs, and is finished. What a driver that is gone has claimed waits again.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..errors import FileFormatError, InputError, WorkbenchError, first_line, unknown
from ..files import check_folder, home, write_atomic
from ..space import Space
from .row import Row, slot_names

__all__ = ["Process", "Store", "create_store", "open_store", "storage_url", "this_process"]

_T = TypeVar("_T")

SILENCE = 60.0  # seconds after which a driver on another machine that says nothing is taken for gone
_STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "trained",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
_OPTUNA = {name: state for state, name in _STATES.items()}
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Process:
    """A process on a machine. started: in clock ticks after boot, which no later process of its number shares."""

    host: str
    number: int
    started: str

    @property
    def name(self) -> str:
        return f"{self.host}-{self.number}-{self.started}"

    @property
    def ended(self) -> bool | None:
        """Whether it has ended; None where it is on another machine, and nothing is known."""
        return None if self.host != socket.gethostname() else _start_of(self.number) != self.started


    @classmethod
    def of(cls, number: int) -> "Process":
        """The process of that number on this machine."""
        return cls(socket.gethostname(), number, _start_of(number))


def this_process() -> Process:
    """The process that asks."""
    return Process.of(os.getpid())


def _start_of(number: int) -> str:
    """When a process started; "" where there is none. Elsewhere than on Linux: only whether there is one."""
    try:
        content = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return "" if content[0] == "Z" else content[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except OSError:
        return ""
    try:
        os.kill(number, 0)
    except OSError:
        return ""
    return "running"


def storage_url(storage: str | Path) -> str:
    """The URL of a storage: itself, or that of a SQLite file.

    >>> storage_url("postgresql://lab/studies")
    'postgresql://lab/studies'
    """
    if "://" in str(storage) and not isinstance(storage, Path):
        return str(storage)
    path = Path(storage).absolute()
    if path.suffix not in (".db", ".sqlite", ".sqlite3"):
        raise InputError(
            f"a study is stored in a .db file or at a URL such as postgresql://..., not in {path.name!r}; "
            f"try {path.stem}.db"
        )
    check_folder(path)
    return f"{_SQLITE}{path}"


@dataclass(frozen=True, eq=False)
class Store:
    """A study in a storage."""

    storage: BaseStorage
    url: str
    name: str
    number: int

    # ---- the study ------------------------------------------------------------------------------------------------

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.storage.get_study_user_attrs(self.number)

    def note(self, key: str, value: Any) -> None:
        """Set an attribute of the study, plain data."""
        self.storage.set_study_user_attr(self.number, key, _plain(value))

    @property
    def folder(self) -> Path:
        """Where the study's files lie."""
        if self.url.startswith(_SQLITE):
            return Path(self.url.removeprefix(_SQLITE)).with_suffix(".files")
        return home() / "studies" / self.name

    def keep(self, kind: str, content: bytes) -> str:
        """Write a file by its content, once; the name that `kept` reads it by."""
        name = f"{kind}/{sha256(content).hexdigest()}.safetensors"
        path = self.folder / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        return name

    def kept(self, name: str) -> bytes:
        """The content of a file; FileFormatError where it is missing or not what was written."""
        path = self.folder / name
        if not path.is_file():
            raise FileFormatError(f"{path} is missing: the study's files belong beside its storage")
        content = path.read_bytes()
        digest = path.stem
        if len(digest) == 64 and sha256(content).hexdigest() != digest:
            raise FileFormatError(f"{path} is damaged: its content is not what its name says")
        return content

    # ---- candidates -----------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """The candidates by number; of two with one network, which two drivers may add at once, the first."""
        tests = {key.removeprefix("test/"): value for key, value in self.attributes.items() if key.startswith("test/")}
        rows: dict[str, Row] = {}
        for trial in self.storage.get_all_trials(self.number, deepcopy=False):
            row = _row(trial, tests.get(str(trial.number), {}))
            rows.setdefault(row.graph, row)
        return list(rows.values())

    def add(self, row: Row, space: Space, constraints: Mapping[str, float]) -> int:
        """Store a candidate that waits; its number. constraints: by budget, above 0 where it is missed."""
        labels = {
            name: ([choice.label for choice in slot.choices], slot.choices[number].label)
            for name, slot, number in zip(slot_names(space), space.slots, row.choices, strict=True)
        }
        trial = create_trial(
            state=TrialState.WAITING,
            params={name: label for name, (_, label) in labels.items()},
            distributions={name: CategoricalDistribution(choices) for name, (choices, _) in labels.items()},
            user_attrs={
                "row": _plain(
                    {"choices": list(row.choices), "kind": row.kind, "graph": row.graph, "costs": dict(row.costs)}
                )
            },
            constraints=dict(constraints),
        )
        return self.storage.get_trial(self.storage.create_new_trial(self.number, trial)).number

    def score(self, row: Row, name: str, scores: Mapping[str, float]) -> None:
        """Set scores of a candidate that is not finished."""
        self.storage.set_trial_user_attr(self._id(row), f"scores/{name}", _plain(scores))

    def claim(self, row: Row, process: Process) -> bool:
        """Take a waiting candidate; False where another driver was faster."""
        number = self._id(row)
        if not self.storage.set_trial_state_values(number, TrialState.RUNNING):
            return False
        self.storage.set_trial_user_attr(number, "driver", process.name)
        return True

    def finish(self, row: Row, state: str, result: Mapping[str, Any], objectives: Sequence[float] = ()) -> None:
        """End a candidate as "trained", "stopped" or "failed". objectives: their values, of a trained one."""
        number = self._id(row)
        self.storage.set_trial_user_attr(number, "result", _plain(result))
        self.storage.set_trial_state_values(number, _OPTUNA[state], list(objectives) or None)

    def return_lost(self, process: Process | None = None) -> int:
        """Let wait again what is claimed by drivers that are gone, or by `process`; how many that are."""
        attributes = self.attributes
        count = 0
        for trial in self.storage.get_all_trials(self.number, deepcopy=False, states=(TrialState.RUNNING,)):
            driver = trial.user_attrs.get("driver", "")
            if driver == process.name if process is not None else _is_gone(attributes.get(f"driver/{driver}")):
                self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                count += 1
        return count

    def _id(self, row: Row) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.number, row.number)

    # ---- drivers --------------------------------------------------------------------------------------------------

    def beat(self, process: Process) -> None:
        """Say that a driver lives."""
        facts = {"host": process.host, "process": process.number, "started": process.started, "beat": time.time()}
        self.note(f"driver/{process.name}", facts)

    def drivers(self) -> list[Process]:
        """The drivers that live, as far as can be told."""
        facts = [value for key, value in self.attributes.items() if key.startswith("driver/")]
        return [_process(fact) for fact in facts if not fact.get("ended") and not _is_gone(fact)]

    def end(self, process: Process) -> None:
        """Say that a driver ends."""
        facts = {"host": process.host, "process": process.number, "started": process.started, "ended": True}
        self.note(f"driver/{process.name}", facts)


def create_store(url: str, name: str, objectives: Sequence[str], attributes: Mapping[str, Any]) -> Store:
    """A new study; InputError where the storage has one of that name."""
    storage = _storage(url)
    directions = [StudyDirection.MAXIMIZE if o == "accuracy" else StudyDirection.MINIMIZE for o in objectives]
    try:
        number = _quietly(lambda: storage.create_new_study(directions, name))
    except optuna.exceptions.DuplicatedStudyError:
        raise InputError(
            f"{url} has a study {name!r} already; wb.attach goes on with it, another storage= begins anew"
        ) from None
    store = Store(storage, url, name, number)
    for key, value in attributes.items():
        store.note(key, value)
    return store


def open_store(storage: str | Path, name: str | None = None) -> Store:
    """A study that exists. name: needed where the storage holds several.

    Raises InputError where there is none, FileFormatError where a study is not the workbench's.
    """
    url = storage_url(storage)
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file():
        raise InputError(f"there is no study in {str(storage)!r}: the file does not exist")
    opened = _storage(url)
    studies = {study.study_name: study._study_id for study in opened.get_all_studies()}
    if name is None and len(studies) != 1:
        raise InputError(f"{url} holds {len(studies)} studies; give name=, of {', '.join(sorted(studies)) or 'none'}")
    name = next(iter(studies)) if name is None else name
    if name not in studies:
        raise unknown("study", name, studies)
    store = Store(opened, url, name, studies[name])
    if "study" not in store.attributes:
        raise FileFormatError(f"the study {name!r} at {url} was not made by the workbench: it names no session")
    return store


def _storage(url: str) -> BaseStorage:
    # several processes write to one file: each waits for the others instead of failing
    options = {"connect_args": {"timeout": 60}} if url.startswith(_SQLITE) else {}
    try:
        return _quietly(lambda: RDBStorage(url, engine_kwargs=options))
    except Exception as error:  # of the URL, the driver package, the server: whatever they raise
        raise WorkbenchError(f"the storage {url!r} cannot be opened: {first_line(error)}") from error


def _quietly(call: Callable[[], _T]) -> _T:
    """The call without Optuna's lines on stderr."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return call()
    finally:
        optuna.logging.set_verbosity(verbosity)


def _row(trial: FrozenTrial, test: Mapping[str, float]) -> Row:
    facts = trial.user_attrs["row"]
    scores: dict[str, float] = {}
    for key, value in trial.user_attrs.items():
        if key.startswith("scores/"):
            scores |= {name: float("nan") if score is None else score for name, score in value.items()}
    result = dict(trial.user_attrs.get("result", {}))
    return Row(
        trial.number, tuple(facts["choices"]), facts["kind"], _STATES[trial.state], facts["graph"], facts["costs"],
        scores, result, test, result.pop("reason", ""), trial.user_attrs.get("driver", ""),
    )  # fmt: skip


def _is_gone(facts: Mapping[str, Any] | None) -> bool:
    """Whether a driver has ended, or has said nothing for too long."""
    if facts is None or facts.get("ended"):
        return True
    ended = _process(facts).ended
    return time.time() - facts["beat"] > SILENCE if ended is None else ended


def _process(facts: Mapping[str, Any]) -> Process:
    return Process(facts["host"], facts["process"], facts["started"])


def _plain(value: Any) -> Any:
    """The value as JSON has it: no number that is none, no tuples."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value
