"""A search carried out: in this process, or in one of its own that outlives it."""

import os
import subprocess
import sys
from concurrent.futures import Executor
from contextlib import ExitStack

import numpy as np

from ..errors import WorkbenchError, first_line
from ..progress import Progress
from ..search.candidates import Candidates, additive_losses
from ..search.loop import Cancelled, Search
from ..search.order import Order
from ..search.storage import Process, Store, this_process
from ..search.strategies import strategy_of
from ..search.workers import Workers, usable_cores
from ..space import prices
from ..state import AnyState, State
from ..surgery import build_state
from ..surgery.losses import Losses
from ..training import Task, resolve_task
from .files import save
from .learning import images_of, learned_on
from .rankings import rankings
from .recovery import finetune
from .searched import SESSION, TUNED, Searched
from .trial import WORK

__all__ = ["carry_out", "start"]

_LOSS_PICTURES = 8  # of the task, that the losses of choices are measured on
_MOST_WORKERS = 4  # by default; each holds a network, its teacher and the pictures
_STARTS = 20.0  # seconds in which a driver's process is there


def carry_out(searched: Searched[AnyState], executor: Executor | str | None, progress: Progress | None) -> None:
    """Search, in this process, to the end. executor: None for worker processes, or a dask scheduler's address."""
    store, process = searched.store, this_process()
    store.beat(process)
    try:
        with ExitStack() as stack:
            pool, width = _pool(searched, executor, stack)
            _search(searched, pool, width, progress).run()
    except BaseException as error:
        cancelled = isinstance(error, Cancelled | KeyboardInterrupt)
        text = "" if cancelled else f"{type(error).__name__}: {first_line(error)}"
        store.note("status", {"stage": "cancelled" if cancelled else "failed", "text": text})
        if not isinstance(error, Cancelled):
            raise
    finally:
        store.end(process)


def _pool(searched: Searched[AnyState], executor: Executor | str | None, stack: ExitStack) -> tuple[Executor, int]:
    """The executor, which the stack ends where it was started here, and how many orders it takes at once."""
    workers = searched.store.attributes["study"]["workers"]
    if isinstance(executor, Executor):
        return executor, workers or getattr(executor, "_max_workers", None) or usable_cores()
    if executor is not None:
        cluster, cores = _cluster(executor, stack)
        return cluster, workers or cores
    count = workers or min(usable_cores(), _MOST_WORKERS)
    pool = Workers(count)
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool, count


def _search(searched: Searched[AnyState], pool: Executor, width: int, progress: Progress | None) -> Search:
    store, options = searched.store, searched.options
    store.note("status", {"stage": "preparing", "text": ""})
    data = resolve_task(searched.task)
    _tune(searched, data)
    state = searched.base
    module = state.base.module if state.base.custom else None
    order = Order(_content(store), searched.task, (), options.seed, options.to_dict(), module=module)
    own = rankings(searched, data)
    strategy = strategy_of(options.strategy, own)
    candidates = _candidates(searched, state, data)
    return Search(store, options, candidates, strategy, WORK, pool, order, width, own, progress)


# ---- what the search stands on ---------------------------------------------------------------------------------------


def _tune(searched: Searched[AnyState], data: Task) -> None:
    """Let the session's network learn the task, where it has not: candidates are recovered from it."""
    store, state = searched.store, searched.base
    learned = state.learned
    taught = learned_on(learned, data) if learned is not None else state.base.weights == "given"
    if taught and not state.plans_since_learned:
        return
    store.note("status", {"stage": "preparing", "text": "the unedited network learns the task"})
    tuned = finetune(state, data, dict(searched.options.schedule))
    os.replace(save(tuned, store.folder / f"new-{TUNED}"), store.folder / TUNED)


def _content(store: Store) -> bytes:
    tuned = store.folder / TUNED
    return (tuned if tuned.is_file() else store.folder / SESSION).read_bytes()


def _candidates(searched: Searched[AnyState], state: State, data: Task) -> Candidates:
    """The space with its prices and losses; the losses are measured once and stored."""
    space, store = searched.space, searched.store
    measured = store.attributes.get("losses")
    if measured is None:
        store.note("status", {"stage": "preparing", "text": "losses of the choices"})
        losses = Losses(build_state(state), state.graph, images_of(state, data, _LOSS_PICTURES), state.base.width_rules)
        measured = additive_losses(space, state.graph, state.target, losses).tolist()
        store.note("losses", measured)
    squares = np.array([[np.nan if loss is None else loss for loss in row] for row in measured], float)
    values = state.weight_values
    costs = prices(space, state.graph, state.target, values)
    return Candidates(space, state.graph, state.target, values, costs, squares, searched.options.limits)


def _cluster(address: str, stack: ExitStack) -> tuple[Executor, int]:
    """The executor of a dask cluster (extra `cluster`), and its cores."""
    try:
        from distributed import Client
    except ImportError:
        raise WorkbenchError("a cluster's address needs dask: pip install 'nas-workbench[cluster]'") from None
    client = stack.enter_context(Client(address))
    return client.get_executor(pure=False), max(1, sum(client.ncores().values()))


# ---- a process of its own ------------------------------------------------------------------------------------------

# Python starts the driver and ends, so that the driver is nobody's child here: nothing waits for it, nothing ends it.
_LAUNCH = """
import subprocess, sys
with open(sys.argv[1], "ab") as log:
    print(subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True).pid)
"""


def start(store: Store) -> None:
    """Start a driver, which outlives this process."""
    store.folder.mkdir(parents=True, exist_ok=True)
    log = store.folder / "driver.log"
    command = [sys.executable, "-m", "workbench.session.driver", store.url, store.name]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, str(log), *command],
        env=environment, capture_output=True, text=True, timeout=_STARTS, check=True,
    )  # fmt: skip
    store.note("status", {"stage": "starting", "text": ""})
    store.beat(Process.of(int(done.stdout)))

