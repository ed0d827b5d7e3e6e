"""A machine, the passes of a network and their dataflow: what is given to the scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..machine import Machine
from ..passes import Pass
from .dataflow import Dataflow

__all__ = ["Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """passes: in the order they run."""

    machine: Machine
    passes: Sequence[Pass]
    dataflow: Dataflow

    @classmethod
    def of(cls, machine: Machine, passes: Sequence[Pass]) -> Self:
        return cls(machine, passes, Dataflow.of(passes))

    @property
    def duration(self) -> int:
        """Length of the time axis that live ranges are counted on (see `live_ranges`)."""
        return 2 * len(self.passes) + 3
