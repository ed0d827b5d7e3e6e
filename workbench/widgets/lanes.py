"""Work behind the clicks: a lane runs one piece of work at a time in a thread, and the newest replaces the one before.

Work is an iterator that does a little between two items, so that it can be stopped there, and waits there while a
click is answered.
"""

import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread

__all__ = ["Lane"]

Work = Callable[[], Iterator[None]]


# A thread that computes holds the interpreter this long at a time (Python's own: 5 ms). A click needs it again after
# each of its messages, which with 5 ms adds up to more than its answer takes.
_TURN_S = 5e-4


class Lane:
    """One thread at a time. free: unset while a click is answered, when the work waits."""

    def __init__(self, name: str, free: Event) -> None:
        self.name, self._free = name, free
        self._thread: Thread | None = None
        self._stop = Event()

    def start(self, work: Work, pause_s: float = 0.0) -> None:
        """Stop what runs and run this instead, `pause_s` seconds from now, in which it may be replaced for nothing."""
        self.stop()
        sys.setswitchinterval(min(sys.getswitchinterval(), _TURN_S))
        stop = self._stop = Event()

        def run() -> None:
            if pause_s and stop.wait(pause_s):
                return
            for _ in work():
                if stop.is_set():
                    return
                self._free.wait(1.0)
                if stop.is_set():
                    return

        self._thread = Thread(target=run, name=f"bench {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The work ends before its next item."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the work that was started last was stopped since."""
        return self._stop.is_set()

    def wait(self, seconds: float = 60.0) -> None:
        """Until the work is done."""
        if self._thread is not None:
            self._thread.join(seconds)
