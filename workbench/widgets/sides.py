"""The same edits on several targets, side by side: what each costs there, and how it changed there."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import WorkbenchError
from ..hardware import Target, resolve
from ..metrics import change_text, metric_text
from ..state import State
from .behind import Publish

__all__ = ["siding", "target_row"]


def siding(session: State, against: State, names: Sequence[str], publish: Publish) -> Iterator[None]:
    """A row for the session's target, then one for each of these names; sent as they come."""
    targets: list[str | Target] = [session.target, *(name for name in names if name != session.target.name)]
    rows: list[dict[str, Any]] = []
    for target in targets:
        yield
        rows.append(target_row(session, against, target))
        if not publish(sides={"rows": list(rows), "done": len(rows) == len(targets)}):
            return


def target_row(session: State, against: State, target: str | Target) -> dict[str, Any]:
    """target, here (whether it is the session's), latency_ms (None where unknown), texts of latency, its interval, its
    change and that of SRAM, what bounds it, and a note on what the figures leave out.
    """
    try:
        on = resolve(target)
        now, before = session.on(on).try_estimate, against.on(on).try_estimate
    except WorkbenchError as error:
        return _unknown(str(target), str(error))
    here = on == session.target
    if now is None or before is None:
        return _unknown(on.name, "not calibrated", here)
    low, high = (metric_text("latency_ms", value) for value in now.latency_interval_ms)
    return {
        "target": on.name,
        "here": here,
        "latency_ms": now.latency_ms,
        "latency": metric_text("latency_ms", now.latency_ms),
        "interval": f"{low.removesuffix(' ms')} to {high}",
        "change": change_text(before.latency_ms, now.latency_ms),
        "sram": metric_text("sram_bytes", now.sram_bytes),
        "sram_change": change_text(before.sram_bytes, now.sram_bytes),
        "bound": now.bound,
        "note": "" if now.complete else f"{len(now.cpu_ops)} operators left to the CPU, not counted",
        "code": f"session.on({on.name!r}).compare()",
    }


def _unknown(name: str, note: str, here: bool = False) -> dict[str, Any]:
    texts = {key: "" for key in ("interval", "change", "sram", "sram_change", "bound")}
    code = f"session.on({name!r}).compare()"
    return {"target": name, "here": here, "latency_ms": None, "latency": "unknown", "note": note, "code": code, **texts}
