"""Budgets that an estimate meets or misses."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import ceil

from ..errors import InputError
from .estimate import Estimate

__all__ = ["Budgets"]

_SLACK = 1e-9


@dataclass(frozen=True)
class Budgets:
    """latency_ms: milliseconds. sram_kib: KiB of SRAM. model_kib: KiB of weights in the target's dtype, uncompressed.

    None: no budget.
    """

    latency_ms: float | None = None
    sram_kib: float | None = None
    model_kib: float | None = None

    def __post_init__(self) -> None:
        for name, value in ((f.name, getattr(self, f.name)) for f in fields(self)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and value > 0):
                raise InputError(f"{name} is {value!r}; a budget must be above 0")

    def __bool__(self) -> bool:
        return self != Budgets()

    def missed(self, estimate: Estimate) -> dict[str, float]:
        """Exceeded budget -> estimate over budget, a ratio above 1."""
        figures = {
            "latency_ms": estimate.latency_ms,
            "sram_kib": estimate.sram_bytes / 1024,
            "model_kib": estimate.weight_bytes / 1024,
        }
        ratio = {name: figures[name] / value for name in figures if (value := getattr(self, name)) is not None}
        return {name: r for name, r in ratio.items() if r > 1 + _SLACK}

    def tightened(self, missed: Mapping[str, float]) -> "Budgets":
        """Budgets made smaller by the ratios they were exceeded by, in whole percents, and 2 % more.

        So a difference that does not matter, of other random weights, leads to no other plan.
        """
        ratios = {name: ceil(100 * ratio) / 100 for name, ratio in missed.items()}
        return replace(self, **{name: getattr(self, name) / (1.02 * ratio) for name, ratio in ratios.items()})
