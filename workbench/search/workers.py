"""The default executor: processes of one worker each, so that one that dies takes one trial with it."""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

__all__ = ["Workers", "usable_cores"]

T = TypeVar("T")

_WATCH = 0.5  # seconds between two looks at the parent


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(Executor):
    """`count` processes, started by spawn; each gets its share of the cores.

    A `ProcessPoolExecutor` of several processes breaks as a whole when one of them dies. Here the others go on, and the
    dead one is replaced.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = max(1, usable_cores() // count)
        self._pools: list[ProcessPoolExecutor | None] = [None] * count
        self._futures: list[Future[Any] | None] = [None] * count

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run on a process that has nothing to do, else on the first."""
        idle = (i for i, future in enumerate(self._futures) if future is None or future.done())
        place = next(idle, 0)
        try:
            future = self._pool(place).submit(fn, *args, **kwargs)
        except BrokenProcessPool:
            self._pools[place] = None
            future = self._pool(place).submit(fn, *args, **kwargs)
        self._futures[place] = future
        return future

    def _pool(self, place: int) -> ProcessPoolExecutor:
        pool = self._pools[place]
        if pool is None:
            pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (os.getpid(), self._threads))
            self._pools[place] = pool
        return pool

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes that run."""
        return [number for pool in self._pools if pool is not None for number in list(pool._processes or {})]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with `cancel_futures` at once, whatever is under way."""
        if cancel_futures:
            for pool in self._pools:
                for process in list((pool._processes or {}).values()) if pool is not None else ():
                    process.kill()
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait, cancel_futures=cancel_futures)
        self._pools = [None] * self.count


def _begin(parent: int, threads: int) -> None:
    """In a worker, before its first work: its share of the cores, no bars on the terminal, an end with its parent."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported; here it may be already
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for the life of the process
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)
