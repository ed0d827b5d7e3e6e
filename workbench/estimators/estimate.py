"""The result type of every estimate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from ..graph import Graph
from ..graph.kinds import SOURCES
from ..metrics import latencies_text
from ..table import Table
from .block_table import block_table

__all__ = ["Detail", "Estimate"]


@dataclass(frozen=True)
class Detail:
    """An estimate by operator; the tables are computed on first access.

    latency_ms, bound: by graph operator, those that cost nothing left out. timeline() returns (operator, live bytes,
    the live tensors as (name, bytes)) for every step.
    """

    graph: Graph
    latency_ms: Mapping[str, float]
    bound: Mapping[str, str]
    timeline: Callable[[], Sequence[tuple[str, int, tuple[tuple[str, int], ...]]]]

    @cached_property
    def ops(self) -> pd.DataFrame:
        block_of = {name: block.name for block in self.graph.blocks for name in block.ops}
        return Table(
            {
                "name": op.name,
                "module": op.module,
                "block": block_of.get(op.name, ""),
                "kind": op.kind,
                "shape": op.shape,
                "macs": op.macs,
                "latency_ms": self.latency_ms.get(op.name, 0.0),
                "bound": self.bound.get(op.name, "compute"),
            }
            for op in self.graph.ops
            if op.kind not in SOURCES
        )

    @cached_property
    def blocks(self) -> pd.DataFrame:
        return block_table(self.graph, self.latency_ms)

    @cached_property
    def memory_timeline(self) -> pd.DataFrame:
        return Table(
            {"op": op, "live_bytes": live, "tensors": ", ".join(name for name, _ in tensors)}
            for op, live, tensors in self.timeline()
        )


@dataclass(frozen=True)
class Estimate:
    """What a network is predicted to cost on a target, batch 1, one inference.

    latency_ms, latency_interval_ms: milliseconds; the interval is (low, high) at 90 %.
    peak_activation_bytes: most bytes of live feature maps at any step. sram_bytes, dram_bytes: used, as the compiler
    would report (0 where there is no such memory). weight_bytes: in the target's dtype, not compressed. params,
    macs: counts (a multiply-accumulate counts as one).
    bound: what limits the most time, "compute" | "sram" | "dram" | "flash", of a measured device "compute" | "memory".
    cpu_ops: operators the accelerator cannot take or the estimator does not know; with any, `complete` is False.
    outside: operators and sizes of the network that were never measured, which widens the interval. own: share of the
    latency that comes from your own compiles (0 to 1).
    target, target_digest, compiler: name of the target, digest of its configuration, name and version of its compiler.

    Tables: `ops`, one row per graph operator (name, module, block, kind, shape, macs, latency_ms, bound); `blocks`, one
    per block (see `block_table`); `memory_timeline`, one per step (op, live_bytes, tensors: the names of the live
    ones).
    """

    latency_ms: float
    latency_interval_ms: tuple[float, float]
    peak_activation_bytes: int
    sram_bytes: int
    dram_bytes: int
    weight_bytes: int
    params: int
    macs: int
    bound: str
    cpu_ops: tuple[str, ...]
    target: str
    target_digest: str
    compiler: str
    detail: Detail = field(repr=False, compare=False)
    outside: tuple[str, ...] = ()
    own: float = 0.0

    @property
    def complete(self) -> bool:
        """True where every operator was counted."""
        return not self.cpu_ops

    @property
    def ops(self) -> pd.DataFrame:
        return self.detail.ops

    @property
    def blocks(self) -> pd.DataFrame:
        return self.detail.blocks

    @property
    def memory_timeline(self) -> pd.DataFrame:
        return self.detail.memory_timeline

    @property
    def basis(self) -> str:
        """In words: the interval, the share that comes from your own compiles, and what widens the interval."""
        text = f"90 %: {latencies_text(self.latency_interval_ms)}"
        if self.own >= 0.005:
            text += f"; {100 * self.own:.0f} % of it from your own compiles"
        if self.outside:
            more = f" and {len(self.outside) - 1} more" if len(self.outside) > 1 else ""
            text += f"; wider because {self.outside[0]}{more}"
        return text

    def totals(self) -> Mapping[str, float]:
        """The numbers a comparison shows, by public name."""
        names = ("latency_ms", "peak_activation_bytes", "sram_bytes", "weight_bytes", "params", "macs")
        return {name: getattr(self, name) for name in names}
