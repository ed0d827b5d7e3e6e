"""Channel evening: widths moved to a multiple the hardware likes."""

from dataclasses import dataclass
from math import lcm
from typing import Literal, get_args

from ..errors import InputError, NotApplicable, unknown
from ..graph import Graph, Plan, Resize, Segment
from ..targets import Target
from .base import Blocks, Transform
from .widths import movable

__all__ = ["EvenChannels"]

Direction = Literal["nearest", "up", "down"]


@dataclass(frozen=True)
class EvenChannels(Transform):
    """Move channel widths to a multiple of the target's parallelism factor.

    direction: "nearest" (a tie goes up), "up" or "down". Widening adds channels nobody listens to yet, so the
    function stays exactly the same; narrowing keeps the most important ones.
    multiple: None takes the target's own (`Target.channel_multiple`).
    blocks: selector; widths made in the selected blocks move, and with them every block that shares them
    through a residual addition.

    Left alone: widths that must not change (the network's input and output, what attention reshapes), widths a
    normalisation over channels forbids to pad (when they would grow), and, except with "up", widths below one
    multiple, such as squeeze-excite reductions.

    >>> EvenChannels("up", multiple=16)
    EvenChannels(direction='up', multiple=16, blocks='*')
    """

    direction: Direction = "nearest"
    multiple: int | None = None
    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise unknown("direction", self.direction, get_args(Direction))
        if self.multiple is not None and (not isinstance(self.multiple, int) or self.multiple < 1):
            raise InputError(f"multiple is {self.multiple!r}; it must be a whole number of at least 1, such as 16")

    def plan(self, graph: Graph, target: Target) -> Plan:
        multiple = self.multiple or target.channel_multiple
        edits = []
        for segment in movable(graph, self.blocks):
            width = self._evened(segment, multiple)
            if width != segment.width and not (width > segment.width and segment.no_pad):
                edits.append(Resize(segment.name, width))
        if not edits:
            raise NotApplicable(f"every width in {self.blocks!r} that may move is a multiple of {multiple} already")
        return Plan(tuple(edits))

    def _evened(self, segment: Segment, multiple: int) -> int:
        step = lcm(multiple, segment.multiple)
        width = segment.width
        if self.direction == "up":
            return -(-width // step) * step
        if width < step:
            return width
        return (width // step if self.direction == "down" else (2 * width + step) // (2 * step)) * step
