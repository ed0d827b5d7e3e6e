"""Channel evening: widths moved to a multiple the hardware likes."""

from dataclasses import dataclass
from math import lcm
from typing import Literal, get_args

from ..errors import InputError, NotApplicable, unknown
from ..graph import Graph, Plan, Resize, Segment
from ..targets import Target
from .base import Blocks, Transform
from .select import check_blocks
from .widths import Importance, keep_by, movable

__all__ = ["EvenChannels"]

Direction = Literal["nearest", "up", "down"]


@dataclass(frozen=True)
class EvenChannels(Transform):
    """Move channel widths to a multiple of the target's parallelism factor.

    direction: "nearest" (a tie goes up), "up" or "down". Widening adds channels nobody listens to yet, so the
    function stays exactly the same; narrowing keeps the most important ones.
    multiple: None takes the target's own (`Target.channel_multiple`).
    blocks: selector; the widths the selected blocks make and read move, and with them every block that shares
    one of them through a residual addition.
    importance: by what narrowed widths keep channels: "magnitude" of the weights, "batch-norm" scales, or "taylor", the
    loss's first-order change on the images of `build(calibration=...)` (magnitude where there are none).

    Left alone: widths that must not change (the network's input and output, what attention reshapes); widths a
    normalisation over channels forbids to pad, where they would grow; with "down", widths of less than one
    multiple, with "nearest" those of less than half of one; and, except with "up", squeeze-excite reductions of
    less than one multiple.

    >>> EvenChannels("up", multiple=16)
    EvenChannels(direction='up', multiple=16, blocks='*', importance='magnitude')
    """

    direction: Direction = "nearest"
    multiple: int | None = None
    blocks: Blocks = "*"
    importance: Importance = "magnitude"

    def __post_init__(self) -> None:
        keep_by(self.importance)
        if self.direction not in get_args(Direction):
            raise unknown("direction", self.direction, get_args(Direction))
        if self.multiple is not None and (not isinstance(self.multiple, int) or self.multiple < 1):
            raise InputError(f"multiple is {self.multiple!r}; it must be a whole number of at least 1, such as 16")
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        multiple = self.multiple or target.channel_multiple
        spatial = _spatial(graph)
        edits = []
        for segment in movable(graph, self.blocks, read=True):
            width = self._evened(segment, multiple, segment.name in spatial)
            if width != segment.width:
                edits.append(Resize(segment.name, width, keep_by(self.importance)))
        if not edits:
            raise NotApplicable(
                f"the widths in {self.blocks!r} are already even: multiples of {multiple}, too small to move, or fixed"
            )
        return Plan(tuple(edits))

    def _evened(self, segment: Segment, multiple: int, spatial: bool) -> int:
        step = lcm(multiple, segment.multiple)
        width = segment.width
        up, down = -(-width // step) * step, width // step * step
        if self.direction == "up":
            chosen = up
        elif width < step and not spatial:
            return width
        else:
            chosen = up if self.direction == "nearest" and 2 * width >= up + down else down
        if chosen > width and segment.no_pad:
            chosen = width if self.direction == "up" else down
        return chosen or width


def _spatial(graph: Graph) -> set[str]:
    """Segments of feature maps; the others exist only behind a global pooling."""
    return {
        segment
        for tensor, layout in graph.channels.layout.items()
        if graph.by_name[tensor].elements > graph.by_name[tensor].shape[layout.axis]
        for segment in layout.segments
    }
