"""What a target is, and what measuring on it gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..graph import Graph

if TYPE_CHECKING:
    from .ethos_u import EthosU

__all__ = ["Measurement", "Target", "Weights"]

# Where weight values come from: (state_dict key, shape) -> float32 values, or None where unknown.
Weights = Callable[[str, tuple[int, ...]], np.ndarray | None]


@dataclass(frozen=True)
class Measurement:
    """What a compiler or device said about one network.

    status: "compiled" or "measured", else "refused", "crashed" or "timeout" with the reason.
    kind: the word shown beside its figures. All figures are for batch 1.
    latency_ms: total cycles over the core clock. sram_bytes, dram_bytes, flash_bytes: most bytes in use in each
    memory, as the compiler prints them (None where the configuration has no such memory).
    cpu_ops: operators left to the host, whose time the compiler counts as one cycle.
    rounds_ms: what each round of a timed device gave; latency_ms is the quickest one.
    ops: one row per hardware operator: source (the graph operator or file operator it came from), kind,
    op_cycles, npu_cycles, macs, staging_bytes and one "..._cycles" column per memory; of a profiled runtime one row
    per node it runs: source, kind, latency_ms.
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
    rounds_ms: tuple[float, ...] = ()
    ops: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    compiler: str = ""

    @property
    def complete(self) -> bool:
        """True where every operator was counted."""
        return self.status in ("compiled", "measured") and not self.cpu_ops


class Target(ABC):
    """A whole configuration (accelerator, clocks, memories, strategy), frozen and hashable."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name people say, "ethos-u65-512"; says what differs from the defaults."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """16 hex digits of the configuration and the compiler's version."""

    @property
    @abstractmethod
    def channel_multiple(self) -> int:
        """The multiple of channels the hardware likes."""

    @property
    @abstractmethod
    def compiler(self) -> str:
        """Name and version of what measures, "vela 5.2.0"."""

    @abstractmethod
    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = 120.0) -> Measurement:
        """Compile or run an existing model file."""

    @abstractmethod
    def measure_graph(self, graph: Graph, weights: Weights | None = None, time_limit_s: float = 120.0) -> Measurement:
        """Compile or run the graph; weights None: seeded random values."""

    @staticmethod
    def ethos_u(accelerator: str | None = None, **configuration: Any) -> "EthosU":
        """An Ethos-U configuration; `EthosU` and `Design` say what the options are.

        One that nobody built yet: macs, clock_mhz, sram (bytes), sram_gbps, dram_gbps, ... Estimates of it come from
        the same model; where macs is no real number of multipliers, from the two nearest real ones.

        >>> Target.ethos_u("ethos-u55-128", strategy="size").name
        'ethos-u55-128 (strategy=size)'
        """
        from .ethos_u import EthosU

        return EthosU.with_options(accelerator, configuration)
