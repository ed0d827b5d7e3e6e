"""A search of a session: its study made, and carried out in a process of its own or here."""

import time
from concurrent.futures import Executor
from pathlib import Path

from ..errors import InputError
from ..estimators import is_calibrated
from ..files import home
from ..search.options import Options
from ..search.storage import create_store, storage_url
from ..space import Offer, Space, option
from ..state import AnyState, State
from ..training import EMBEDDED, Task, named, reference_of, resolve_task
from .files import save
from .learning import size_of
from .rankings import local_space
from .searched import SESSION, Searched, space_facts
from .space import space_of
from .study import Study, study_of

__all__ = ["search", "session_task"]

_WIDTHS = 4  # shares of a width to choose from, where no space is given: the losses of all choices are measured first


def search(
    state: AnyState,
    task: str | Path | Task,
    options: Options,
    space: Space | None,
    executor: Executor | str | None,
    storage: str | Path | None,
    block: bool,
    workers: int | None,
) -> Study[AnyState]:
    """See `Session.search`."""
    reference = _reference(task)
    data = resolve_task(reference)
    size_of(state)
    _check(state, executor, block, workers)
    named({**data.schedule, **options.schedule})
    space = _space(state, space)
    if options.strategy == "single-shot":
        space = local_space(space, state.graph, state.target)
    url, name = _place(state, storage)
    facts = {
        "version": 1, "session": SESSION, "task": reference, "digest": data.digest, "options": options.to_dict(),
        "space": space_facts(space), "workers": workers, "executor": executor if isinstance(executor, str) else None,
    }  # fmt: skip
    store = create_store(url, name, options.objectives, {"study": facts, "request": "run"})
    store.folder.mkdir(parents=True, exist_ok=True)
    save(state, store.folder / SESSION)
    study = study_of(Searched(store, state, space, options))
    return study.resume(executor if isinstance(executor, Executor) else None, block)


def session_task(state: State) -> str:
    """Name or folder of the task that a session names, as `search` takes it; "" where it names none."""
    task = getattr(state, "task", None)
    return reference_of(task) if isinstance(task, Task) else ""


# ---- before anything is stored ------------------------------------------------------------------------------------


def _reference(task: str | Path | Task) -> str:
    """The task by name or whole path, which a study is opened again with."""
    if isinstance(task, Task):
        if task.name in EMBEDDED and resolve_task(task.name) == task:
            return task.name
        raise InputError(
            f"a study names its task, so that any process can read it: give a folder, or one of {', '.join(EMBEDDED)}, "
            f"not the {type(task).__name__} {task.name!r}"
        )
    return str(Path(task).resolve()) if Path(task).is_dir() else str(task)


def _check(state: State, executor: Executor | str | None, block: bool, workers: int | None) -> None:
    if not is_calibrated(state.target):
        raise InputError(f"{state.target.name} is not calibrated, so nothing has a cost; wb.targets() lists others")
    if not block and isinstance(executor, Executor):
        raise InputError(
            f"block=False searches in a process of its own, which cannot use this {type(executor).__name__}; leave "
            f"executor out, or give the address of a dask scheduler, such as 'tcp://127.0.0.1:8786'"
        )
    if not block and state.base.custom:
        raise InputError("block=False searches in a process of its own, which has no module of yours; give block=True")
    if executor is not None and not isinstance(executor, Executor | str):
        raise InputError(f"executor is a {type(executor).__name__}; it must be a concurrent.futures.Executor")
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise InputError(f"workers is {workers!r}; it must be a whole number of at least 1")


def _space(state: State, space: Space | None) -> Space:
    """The space given, each choice of which must apply; else a curated one."""
    if space is None:
        return space_of(state, Offer(widths=_WIDTHS), True, None)
    for slot in space.slots:
        for choice in slot.choices:
            if choice.transforms and option(state.graph, state.target, choice, slot.block) is None:
                where = f"block {slot.block}" if slot.block else "the network"
                raise InputError(f"the choice {choice.label!r} of {where} does not apply to {state.model_name}")
        if slot.choices[0].transforms:
            raise InputError(
                f"the first choice of {slot.block or 'the network'!r} is {slot.choices[0].label!r}; it must keep the "
                f"slot as it is, Choice('as it is')"
            )
    return space


def _place(state: State, storage: str | Path | None) -> tuple[str, str]:
    """URL and name of a new study: by default a file of its own below WORKBENCH_HOME."""
    name = f"{state.model_name}-{state.target.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if storage is None:
        folder = home() / "studies"
        folder.mkdir(parents=True, exist_ok=True)
        taken = {path.stem for path in folder.iterdir()}
        name = next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)
        return storage_url(folder / f"{name}.db"), name
    url = storage_url(storage)
    if not url.startswith("sqlite:///"):
        return url, name
    path = Path(url.removeprefix("sqlite:///"))
    if path.exists():
        raise InputError(f"{str(storage)!r} exists; wb.attach goes on with its study, another storage= begins anew")
    return url, path.stem
