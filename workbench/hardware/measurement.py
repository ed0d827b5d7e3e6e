"""What measuring a network on a target gives."""

from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Measurement"]


@dataclass(frozen=True)
class Measurement:
    """What a compiler or device reports of one network.

    status: "compiled" or "measured", else "refused", "crashed" or "timeout" with the reason.
    kind: the word shown beside its figures. All figures are for batch 1.
    latency_ms: total cycles over the core clock. sram_bytes, dram_bytes, flash_bytes: most bytes in use in each
    memory, as the compiler prints them (None where the configuration has no such memory).
    macs: multiply-accumulates of what runs on the accelerator.
    cpu_ops: operators left to the host, "KIND output" ("CUSTOM:code output" for custom ones), whose time the compiler
    counts as one cycle.
    rounds_ms: what each round of a timed device gave; latency_ms is the quickest one.
    ops: one row per hardware operator: source (the graph operator or file operator it came from), kind,
    op_cycles, npu_cycles, macs, staging_bytes and one "..._cycles" column per memory; of a profiled runtime one row
    per node it runs: source, kind, latency_ms. Empty for a file of several subgraphs: the compiler keeps rows of the
    last one only, while its totals cover them all.
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
