"""What a target is, and what measuring on it gives."""

from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from ..graph import Graph

__all__ = ["Measurement", "Target", "Weights"]


class Weights(Protocol):
    """Where weight values come from: state_dict key -> float32 array of the graph's shape, None where unknown."""

    def __call__(self, name: str, shape: tuple[int, ...]) -> object: ...


@dataclass(frozen=True)
class Measurement:
    """What a compiler or device said about one network.

    status: "compiled", "refused" (reason: why), "crashed" (reason: what happened) or "timeout".
    All figures are for batch 1; `kind` is the word shown beside them ("compiled" or "measured").
    ops: one row per hardware operator: op_cycles, npu_cycles, macs, sram/dram access cycles, `source` (the name
    of the graph operator it came from, "" where the compiler made it up).
    """

    status: str
    target: str
    reason: str = ""
    kind: str = "compiled"
    latency_ms: float | None = None
    cycles: int | None = None
    sram_bytes: int | None = None
    dram_bytes: int | None = None
    flash_bytes: int | None = None
    macs: int | None = None
    cpu_ops: tuple[str, ...] = ()
    ops: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    compiler: str = ""

    @property
    def complete(self) -> bool:
        """True where every operator was counted."""
        return self.status in ("compiled", "measured") and not self.cpu_ops


class Target(Protocol):
    """A whole configuration (accelerator, clocks, memories, strategy), frozen and hashable."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str:
        """16 hex digits of the configuration and the compiler's version."""
        ...

    @property
    def clock_hz(self) -> float: ...
    @property
    def channel_multiple(self) -> int:
        """The multiple of channels the hardware likes."""
        ...

    def measure_graph(self, graph: Graph, weights: Weights | None = None) -> Measurement:
        """Compile or run the graph; weights None: seeded random values."""
        ...
