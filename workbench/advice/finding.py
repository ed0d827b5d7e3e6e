"""What costs more than it should, at one place of a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..graph import Graph
from ..transforms import Transform

__all__ = ["WAITS_FOR", "Finding", "Suspicion"]

# what an operator's bound says it waits for, in words
WAITS_FOR: Mapping[str, str] = MappingProxyType(
    {"compute": "the array", "sram": "SRAM", "dram": "DRAM", "flash": "flash", "memory": "memory"}
)


@dataclass(frozen=True)
class Suspicion:
    """What a rule finds in a block, before any mend was tried.

    rule: its name. share: of the latency, between 0 and 1 (of the peak for memory). text: the numbers in words, to go
    on with after the block's name. mends: steps that may mend it, in the order in which they are tried. saves: what a
    mend is judged by, "latency" or "memory".
    """

    rule: str
    block: str
    share: float
    text: str
    mends: tuple[Transform, ...] = ()
    saves: str = "latency"


@dataclass(frozen=True)
class Finding:
    """A suspicion with the step that mends it best.

    mend: the first of the mends that applies and gains something, None where none does. gain_ms: milliseconds that the
    network gains by it (estimated); gain_bytes: bytes of the memory peak; both 0 without a mend. graph: the network
    after the mend.
    """

    rule: str
    block: str
    share: float
    text: str
    mend: Transform | None = None
    gain_ms: float = 0.0
    gain_bytes: int = 0
    graph: Graph | None = None

    @property
    def severity(self) -> str:
        """From 10 % of the latency (of the memory peak) on "high", from 2 % "medium", else "low"."""
        return "high" if self.share >= 0.1 else "medium" if self.share >= 0.02 else "low"
