"""Where a search stands, and the end of a process that drives it."""

import os
import signal
from dataclasses import dataclass

from ..search.row import FINISHED
from ..search.storage import Process, Store

__all__ = ["Status", "kill", "status_of"]


@dataclass(frozen=True)
class Status:
    """Where a search stands. stage: "starting", "pool", "zero-shot" ..., "training", "testing", "done", "cancelled",
    "failed" or "stopped" (nothing drives it). trained, stopped, failed, running, waiting: candidates. drivers: how many
    processes drive it.
    """

    stage: str
    text: str
    trials: int
    trained: int
    stopped: int
    failed: int
    running: int
    waiting: int
    drivers: int

    @property
    def ended(self) -> bool:
        return self.stage in ("done", "cancelled", "failed", "stopped")

    def __str__(self) -> str:
        counts = ", ".join(
            f"{count} {name}" for name in ("trained", "stopped", "failed", "running") if (count := getattr(self, name))
        )
        note = f" ({self.text})" if self.text and self.stage != "done" else ""
        return f"{self.stage}{note}: {counts or 'nothing trained'} of {self.trials} trials, {self.waiting} wait"


def status_of(store: Store, trials: int) -> Status:
    """Read anew from the storage. trials: of the search's options."""
    attributes, rows = store.attributes, store.rows()
    status, drivers = attributes.get("status", {}), store.drivers()
    stage = status.get("stage", "starting")
    if not drivers and stage not in ("done", "cancelled", "failed"):
        stage = "stopped"
    elif attributes.get("request") == "pause" and drivers:
        stage = "paused"
    text = status.get("text") or (f"{status['done']} of {status['total']}" if "done" in status else "")
    counts = {
        state: sum(row.state == state and (state != "failed" or bool(row.driver)) for row in rows)
        for state in (*FINISHED, "running", "waiting")
    }
    return Status(stage, text, trials, **counts, drivers=len(drivers))


def kill(driver: Process) -> None:
    """End a process of this machine with its workers, which share its session."""
    try:
        group = os.getpgid(driver.number)
        os.killpg(group, signal.SIGKILL) if group == driver.number else os.kill(driver.number, signal.SIGKILL)
    except ProcessLookupError:
        pass
