"""A machine, the passes of a network and their dataflow: what is given to the scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..machine import Machine
from ..passes import Pass
from .dataflow import Dataflow
from .input_buffering import with_input_copies

__all__ = ["Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """passes: in the order they run. input_copies: names of the inputs' copies, which are near."""

    machine: Machine
    passes: Sequence[Pass]
    dataflow: Dataflow
    input_copies: frozenset[str] = frozenset()

    @classmethod
    def of(cls, machine: Machine, passes: Sequence[Pass]) -> Self:
        dataflow = Dataflow.of(passes)
        if not machine.spills:
            return cls(machine, passes, dataflow)
        passes, copies = with_input_copies(machine, passes, dataflow)
        return cls(machine, passes, Dataflow.of(passes) if copies else dataflow, copies)

    def reads_copy(self, pass_: Pass) -> bool:
        """Whether a pass reads an input's copy."""
        return bool(self.input_copies and pass_.inputs) and pass_.inputs[0] in self.input_copies

    @property
    def duration(self) -> int:
        """Length of the time axis that live ranges are counted on (see `live_ranges`)."""
        return 2 * len(self.passes) + 3
