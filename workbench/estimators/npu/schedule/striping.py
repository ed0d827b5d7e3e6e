"""All passes of a network as scheduled, and the cascades among them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..hashing import computed_once
from .pass_schedule import PassSchedule

__all__ = ["Cascade", "Striping"]


@dataclass(frozen=True)
class Cascade:
    """Passes first..last that run stripe by stripe behind one another.

    rolling: bytes of the rolling buffer each pass after the first reads (0: in place of the one before). bytes: near
    memory it takes, with what lives beside it; own_bytes: without that.
    """

    first: int
    last: int
    rolling: tuple[int, ...]
    bytes: int
    own_bytes: int


@dataclass(frozen=True, eq=False)
class Striping:
    """schedules: of every pass, in order."""

    schedules: Sequence[PassSchedule]
    cascades: Sequence[Cascade] = ()

    @computed_once
    def times(self) -> list[int]:
        """When every pass runs: even numbers, the same for all passes of a cascade."""
        times: list[int] = []
        now = -2
        for schedule in self.schedules:
            if not schedule.cascaded or schedule.leads:
                now += 2
            times.append(now)
        return times

    @computed_once
    def cascaded(self) -> list[bool]:
        """Whether each pass is in a cascade."""
        return [schedule.cascaded for schedule in self.schedules]
