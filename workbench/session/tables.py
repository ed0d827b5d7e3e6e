"""What a session answers with: differences, verified figures and the tables made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import InputError
from ..estimators.estimate import Estimate
from ..graph import Graph
from ..hardware.measurement import Measurement
from ..recipe import describe

if TYPE_CHECKING:
    from .core import Session

__all__ = ["Delta", "Verification", "block_table", "comparison", "delta", "history", "verification"]

# Public name -> (unit shown, divisor, digits).
UNITS: Mapping[str, tuple[str, float, int]] = {
    "latency_ms": ("ms", 1, 3),
    "sram_bytes": ("KiB", 1024, 1),
    "peak_activation_bytes": ("KiB", 1024, 1),
    "weight_bytes": ("KiB", 1024, 1),
    "params": ("M", 1e6, 3),
    "macs": ("M", 1e6, 1),
}


@dataclass(frozen=True)
class Delta:
    """What a change would do: after minus before, estimated, batch 1.

    latency_percent: of the latency before. None where the target is not calibrated (params and macs are counts
    and always there). complete: False where either estimate leaves operators out.
    """

    latency_ms: float | None
    latency_percent: float | None
    sram_bytes: int | None
    peak_activation_bytes: int | None
    weight_bytes: int | None
    params: int
    macs: int
    complete: bool = True

    def __repr__(self) -> str:
        parts = [f"{name} {text}" for name, text in self._rows()]
        return f"Delta(estimated: {', '.join(parts)}{'' if self.complete else '; incomplete'})"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._rows())
        note = "estimated" if self.complete else "estimated, incomplete"
        return f"<table><caption>Change ({note})</caption><tbody>{cells}</tbody></table>"

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in UNITS and value is not None:
                unit, divisor, digits = UNITS[item.name]
                percent = self.latency_percent if item.name == "latency_ms" else None
                extra = f" ({percent:+.1f} %)" if percent is not None else ""
                rows.append(
                    (
                        item.name.removesuffix("_ms").removesuffix("_bytes"),
                        f"{value / divisor:+.{digits}f} {unit}{extra}",
                    )
                )
        return rows


@dataclass(frozen=True, repr=False)
class Verification(Measurement):
    """A compile of the session's network beside its estimate.

    estimate: None where the target is not calibrated. weights: where the values the compiler saw came from.
    error_percent: estimated over compiled latency, minus one.
    """

    estimate: Estimate | None = None
    weights: str = ""

    @property
    def error_percent(self) -> float | None:
        if self.estimate is None or not self.latency_ms:
            return None
        return 100 * (self.estimate.latency_ms / self.latency_ms - 1)

    @property
    def table(self) -> pd.DataFrame:
        """Estimated beside compiled (rows: metrics; NaN where one of them does not say)."""
        rows = []
        for name in ("latency_ms", "sram_bytes", "dram_bytes", "macs"):
            guess = getattr(self.estimate, name, None)
            real = getattr(self, name)
            off = 100 * (guess / real - 1) if guess is not None and real else None
            rows.append((name, guess, real, off))
        frame = pd.DataFrame(rows, columns=["metric", "estimated", self.kind, "difference %"]).set_index("metric")
        return frame.astype(float)

    def __repr__(self) -> str:
        if self.status not in ("compiled", "measured"):
            return f"{self.target}: {self.status}: {self.reason}"
        said = f"{self.latency_ms:.3f} ms {self.kind}"
        if self.estimate is not None:
            said += f", {self.estimate.latency_ms:.3f} ms estimated ({self.error_percent:+.1f} %)"
        if self.sram_bytes is not None:
            said += f"; SRAM {self.sram_bytes / 1024:.1f} KiB {self.kind}"
        if self.cpu_ops:
            some = ", ".join(self.cpu_ops[:3])
            said += f"; incomplete: {len(self.cpu_ops)} operators left to the CPU count one cycle each ({some})"
        by = f"compiler cycle model, {self.compiler}" if self.kind == "compiled" else self.compiler
        return f"{self.target}: {said} ({by}; weights: {self.weights})"

    def _repr_html_(self) -> str:
        if self.status not in ("compiled", "measured"):
            return f"<p><b>{escape(self.target)}: {escape(self.status)}</b>: {escape(self.reason)}</p>"
        table = self.table.to_html(float_format=lambda v: f"{v:,.3f}", na_rep="–")
        return f"{table}<p>{escape(repr(self))}</p>"


def verification(measured: Measurement, estimate: Estimate | None, weights: str) -> Verification:
    """The measurement with the estimate beside it."""
    said = {item.name: getattr(measured, item.name) for item in fields(measured)}
    return Verification(**said, estimate=estimate, weights=weights)


def delta(before: "Session", after: "Session") -> Delta:
    """After minus before."""
    a, b = before.try_estimate, after.try_estimate
    params, macs = after.graph.params - before.graph.params, after.graph.macs - before.graph.macs
    if a is None or b is None:
        return Delta(None, None, None, None, None, params, macs)
    return Delta(
        latency_ms=b.latency_ms - a.latency_ms,
        latency_percent=_percent(a.latency_ms, b.latency_ms),
        sram_bytes=b.sram_bytes - a.sram_bytes,
        peak_activation_bytes=b.peak_activation_bytes - a.peak_activation_bytes,
        weight_bytes=b.weight_bytes - a.weight_bytes,
        params=params,
        macs=macs,
        complete=a.complete and b.complete,
    )


def comparison(before: "Session | Measurement", after: "Session") -> pd.DataFrame:
    """One row per metric: before, after, change %, and the word each figure carries ("compiled, estimated": one each).

    Raises InputError for a measurement that measured nothing.
    """
    if isinstance(before, Measurement) and before.status not in ("compiled", "measured"):
        raise InputError(f"there is nothing to compare with: the file was {before.status} ({before.reason})")
    rows = []
    for name in UNITS:
        b, word = _figure(after, name)
        if isinstance(before, Measurement):
            a, word = getattr(before, name, None), f"{before.kind}, {word}"
        else:
            a, _ = _figure(before, name)
        if a is not None or not isinstance(before, Measurement):
            rows.append((name, a, b, _percent(a, b), word))
    frame = pd.DataFrame(rows, columns=["metric", "before", "after", "change %", "figures"]).set_index("metric")
    return frame.astype({"before": float, "after": float, "change %": float})


def _figure(session: "Session", name: str) -> tuple[float | None, str]:
    """A figure of a session and where it comes from."""
    if name in ("params", "macs"):
        return getattr(session.graph, name), "counted"
    return getattr(session.try_estimate, name, None), "estimated"


def history(path: "list[Session]") -> pd.DataFrame:
    """One row per step of the sessions from the opened model to this one; latencies estimated."""
    start = path[0].try_estimate
    rows: list[tuple[int, str, str, float | None, float | None, float | None]]
    rows = [(0, "opened", "", start.latency_ms if start else None, None, None)]
    known = start
    for before, session in pairwise(path):
        if session.tuned is not before.tuned and session.tuned is not None:
            now = session.try_estimate
            change = now.latency_ms - known.latency_ms if now and known else None
            percent = _percent(known.latency_ms, now.latency_ms) if now and known else None
            rows.append(
                (len(rows), f"weights of {session.tuned.said}", "", now.latency_ms if now else None, change, percent)
            )
            known = now
        for step in session.steps[len(before.steps) :]:
            now = session.estimate_of(step.graph)
            change = now.latency_ms - known.latency_ms if now and known else None
            percent = _percent(known.latency_ms, now.latency_ms) if now and known else None
            rows.append(
                (len(rows), describe(step.transform), step.recipe, now.latency_ms if now else None, change, percent)
            )
            known = now
    columns = ["step", "transform", "recipe", "latency_ms", "change_ms", "change %"]
    frame = pd.DataFrame(rows, columns=columns).set_index("step")
    return frame.astype({"latency_ms": float, "change_ms": float, "change %": float})


def block_table(graph: Graph) -> pd.DataFrame:
    """The blocks without an estimate: latency columns are NaN, because nothing is known about them."""
    rows = []
    for block in graph.blocks:
        ops = [graph.by_name[name] for name in block.ops]
        names = {p.name: p.shape for op in ops for p in op.params if not p.role.startswith("running")}
        params = sum(_product(shape) for shape in names.values())
        shape = graph.by_name[block.output].shape
        rows.append((block.name, block.kind, shape, float("nan"), float("nan"), sum(op.macs for op in ops), params))
    return pd.DataFrame(rows, columns=["name", "kind", "shape", "latency_ms", "share", "macs", "params"])


def _percent(before: float | None, after: float | None) -> float | None:
    return 100 * (after / before - 1) if before and after is not None else None


def _product(shape: tuple[int, ...]) -> int:
    n = 1
    for d in shape:
        n *= d
    return n
