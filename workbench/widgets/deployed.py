"""A deployed file as the baseline: what the target's compiler makes of it, beside what the session costs."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from ..errors import InputError, WorkbenchError
from ..hardware import Measurement, Target
from ..metrics import METRICS
from .gestures import sentence
from .lanes import Lane

__all__ = ["Deployed"]


class Deployed:
    """told: called once the file was measured on a target."""

    def __init__(self, free: Event, told: Callable[[], None]) -> None:
        self._told = told
        self.lane = Lane("deployed", free)
        self.path: Path | None = None
        self._known: dict[str, Measurement] = {}  # by digest of the target

    def choose(self, path: Path | None) -> None:
        """Take this file as the baseline from now on; None for no file. Raises InputError where there is none."""
        if path is not None and (path.suffix != ".tflite" or not path.is_file()):
            raise InputError(f"there is no file {str(path)!r}; a deployed file ends in .tflite")
        self.path, self._known = path, {}

    def ask(self, target: Target) -> None:
        """Have it measured on a target, where it was not yet."""
        path, known = self.path, self._known
        if path is None or target.digest in known:
            return

        def work() -> Iterator[None]:
            yield
            try:
                known[target.digest] = target.measure(path)
            except WorkbenchError as error:
                known[target.digest] = Measurement("refused", target.name, reason=sentence(str(error)))
            self._told()

        self.lane.start(work)

    def figures(self, target: Target) -> Mapping[str, float | None] | None:
        """By the names of `METRICS`; None where no file is the baseline, or nothing is known of it there."""
        measured = self._known.get(target.digest)
        if self.path is None or measured is None or measured.latency_ms is None:
            return None
        return {name: getattr(measured, name, None) for name in METRICS}

    def view(self, target: Target) -> dict[str, Any]:
        """name, word (where its figures come from), text (what is to be said of it) and code; empty without a file."""
        if self.path is None:
            return {}
        measured = self._known.get(target.digest)
        text = "" if measured is not None else f"measuring {self.path.name} \N{HORIZONTAL ELLIPSIS}"
        if measured is not None and measured.latency_ms is None:
            text = f"{self.path.name} on {target.name}: {measured.status}: {measured.reason}".split("\n")[0]
        if measured is not None and measured.cpu_ops:
            text = f"{self.path.name} leaves {len(measured.cpu_ops)} operators to the CPU, not counted"
        code = f"session.compare(session.target.measure({str(self.path)!r}))"
        return {"name": self.path.name, "word": "" if measured is None else measured.kind, "text": text, "code": code}
