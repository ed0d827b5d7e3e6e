"""The compiler as a guest: Vela in worker processes of its own.

Vela's core can segfault on valid models, holds the interpreter's lock while it works and writes to file
descriptors 1 and 2 past Python. So it runs in a small pool of persistent processes with a time limit; a crash,
a hang or a refusal is a result with a reason, the worker is replaced, and the caller's process never notices.

A request is two messages (`frames.py`) on a private pair of pipes, the settings as JSON and the network's bytes; an
answer is one, JSON. Nothing is ever pickled. The worker's own output goes to a temporary file whose last lines explain
a crash. What runs inside a worker stands in `compiler_worker.py`.
"""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .frames import receive, send

__all__ = ["TIME_LIMIT_S", "CompilerPool", "shared_pool"]

TIME_LIMIT_S = 120.0
_WORKERS = 2
_WORKER_MODULE = f"{__package__}.compiler_worker"
_ROOT = str(Path(__file__).parents[__name__.count(".")])  # the directory the package is imported from


class CompilerPool:
    """A few worker processes that compile networks; thread-safe; workers start at first use.

    A settings mapping holds what Vela's command line would be given: accelerator, system_config, memory_mode,
    arena_bytes, strategy ("performance" | "size"), ini (path or None), features_off (a tuple of "cascading",
    "buffering").
    """

    def __init__(self, workers: int = _WORKERS) -> None:
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self.workers = workers
        atexit.register(self.close)

    def compile(
        self, settings: Mapping[str, Any], network: bytes, time_limit_s: float = TIME_LIMIT_S
    ) -> dict[str, Any]:
        """The compiler's answer: {"status": "compiled", ...figures} or {"status", "reason"} where it gave none."""
        worker = self._idle.get()
        try:
            if worker is None or not worker.alive:
                worker = _Worker()
            answer = worker.ask(settings, network, time_limit_s)
            if answer["status"] in ("crashed", "timeout"):
                worker.stop()
                worker = None
            return answer
        finally:
            self._idle.put(worker)

    def compile_many(self, settings: Mapping[str, Any], networks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Answers in order, all workers kept busy; at most two networks a worker are held at once."""
        with ThreadPoolExecutor(self.workers) as threads:
            pending = []
            for network in networks:
                pending.append(threads.submit(self.compile, settings, network))
                if len(pending) > 2 * self.workers:
                    yield pending.pop(0).result()
            for future in pending:
                yield future.result()

    def close(self) -> None:
        """End the workers; the pool starts new ones if it is used again."""
        for _ in range(self.workers):
            with contextlib.suppress(queue.Empty):
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.stop()
        for _ in range(self.workers - self._idle.qsize()):
            self._idle.put(None)


class _Worker:
    """One compiler process, seen from the caller's."""

    def __init__(self) -> None:
        request_r, request_w = os.pipe()
        answer_r, answer_w = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        # -c instead of -m: the package may be imported from a directory that is only on sys.path
        code = (
            f"import sys; sys.path.insert(0, {_ROOT!r}); from {_WORKER_MODULE} import serve; "
            f"serve({request_r}, {answer_w})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(request_r, answer_w),
        )
        os.close(request_r)
        os.close(answer_w)
        self._requests = os.fdopen(request_w, "wb")
        self._answers = os.fdopen(answer_r, "rb", buffering=0)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, settings: Mapping[str, Any], network: bytes, time_limit_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + time_limit_s
        self._log.seek(0)
        self._log.truncate()
        try:
            send(self._requests, json.dumps(dict(settings)).encode())
            send(self._requests, network)
            answer = receive(self._answers, deadline)
        except TimeoutError:
            self._process.kill()
            return {"status": "timeout", "reason": f"the compiler did not answer within {time_limit_s:g} s"}
        except (BrokenPipeError, EOFError):
            return {"status": "crashed", "reason": self._death()}
        return json.loads(answer)

    def _death(self) -> str:
        code = self._process.wait(10)
        cause = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._log.seek(0)
        tail = [line for line in self._log.read()[-2000:].decode(errors="replace").splitlines() if line.strip()]
        return f"the compiler process died ({cause})" + (f": {tail[-1]}" if tail else "")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers, self._log):
            with contextlib.suppress(OSError):
                stream.close()


_pool: CompilerPool | None = None
_lock = threading.Lock()


def shared_pool() -> CompilerPool:
    """The process-wide pool (a compiler is a machine-wide resource: two cores, two compilers)."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = CompilerPool()
        return _pool
