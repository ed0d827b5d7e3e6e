"""The result type of every estimate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """What a network is predicted to cost on a target, batch 1, one inference.

    latency_ms, latency_interval_ms: milliseconds; the interval is (low, high) at 90 %.
    peak_activation_bytes: most bytes of live feature maps at any step. sram_bytes: what the compiler would report.
    weight_bytes: in the target's dtype. params, macs: counts (a multiply-accumulate counts as one).
    bound: what limits the most time, "compute" | "sram" | "dram" | "flash".
    cpu_ops: operators the accelerator cannot take or the estimator does not know; with any, `complete` is False.
    ops: one row per graph operator: name, module, block, kind, shape, macs, latency_ms, bound.
    blocks: one row per block: name, kind, shape, latency_ms, share, macs, params.
    memory_timeline: one row per step: op, live_bytes, tensors (names of the live ones).
    target, target_digest, compiler: what was asked, exactly.
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
    ops: pd.DataFrame = field(repr=False, compare=False)
    blocks: pd.DataFrame = field(repr=False, compare=False)
    memory_timeline: pd.DataFrame = field(repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """True where every operator was counted."""
        return not self.cpu_ops

    def totals(self) -> Mapping[str, float]:
        """The numbers a comparison shows, by public name."""
        names = ("latency_ms", "peak_activation_bytes", "sram_bytes", "weight_bytes", "params", "macs")
        return {name: getattr(self, name) for name in names}
