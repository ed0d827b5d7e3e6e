"""Work in the background: an iterator worked through by a thread of its own, one item after the other.

A thread, not a process, suits work that PyTorch does outside the interpreter's lock and that keeps each whole item in a
file: modules of any class are at hand without being copied, and a kernel that is killed loses the item under way.
"""

from collections.abc import Iterator
from threading import Event, Thread

__all__ = ["Background"]


class Background:
    """Works through an iterator until its end, an error, or `stop`; starts at once.

    >>> work = Background(iter([1, 2, 3]), "counting")
    >>> work.stop()
    >>> work.running
    False
    """

    def __init__(self, items: Iterator[object], name: str) -> None:
        self._items, self._stopping = items, Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the item under way, and wait for that; raises the error that the work ended with."""
        self._stopping.set()
        self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end, at most so long; raises the error that the work ended with."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            for _ in self._items:
                if self._stopping.is_set():
                    break
        except BaseException as error:  # told where the result is asked for
            self._error = error
