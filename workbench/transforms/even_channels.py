"""Channel evening: widths moved to a multiple the hardware likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Literal, Self, get_args

from ..errors import InputError, NotApplicable, unknown
from ..estimators import Budgets, is_calibrated
from ..graph import Graph, Plan, Resize, Segment
from ..hardware import Target
from .base import Blocks, Transform
from .cheapest_widths import cheapest_widths
from .movable_widths import Importance, keep_by, movable, why_no_growth
from .select import check_blocks

__all__ = ["EvenChannels"]

Direction = Literal["nearest", "up", "down", "cost"]


@dataclass(frozen=True)
class EvenChannels(Transform):
    """Move channel widths to a multiple of the target's parallelism factor.

    direction: "nearest" (a tie goes up), "up", "down", or "cost": up or down each, whichever makes the network
    fastest by the estimate while it gets no fewer parameters and multiply-accumulates in all than it has. Widening
    adds channels nobody listens to yet, so the function stays exactly the same; narrowing keeps the most important.
    multiple: None takes the target's own (`Target.channel_multiple`).
    blocks: selector; the widths the selected blocks make and read move, and with them every block that shares
    one of them through a residual addition.
    importance: by what narrowed widths keep channels: "magnitude" of the weights, "batch-norm" scales, or "taylor", the
    loss's first-order change on the images of `build(calibration=...)` (magnitude where there are none).
    sram_kib, model_kib: with "cost", KiB of SRAM and of weights (in the target's dtype, uncompressed) not to go above.

    Left alone: widths that must not change (the network's input and output, what attention reshapes); widths a
    normalisation over channels forbids to pad, where they would grow; with "down", widths of less than one
    multiple, with "nearest" and "cost" those of less than half of one; and, except with "up", squeeze-excite
    reductions of less than one multiple.

    >>> EvenChannels("up", multiple=16)
    EvenChannels(direction='up', multiple=16, blocks='*', importance='magnitude', sram_kib=None, model_kib=None)
    """

    direction: Direction = "nearest"
    multiple: int | None = None
    blocks: Blocks = "*"
    importance: Importance = "magnitude"
    sram_kib: float | None = None
    model_kib: float | None = None

    def __post_init__(self) -> None:
        keep_by(self.importance)
        if self.direction not in get_args(Direction):
            raise unknown("direction", self.direction, get_args(Direction))
        if Budgets(sram_kib=self.sram_kib, model_kib=self.model_kib) and self.direction != "cost":
            raise InputError(f'sram_kib and model_kib need direction "cost", which estimates; it is {self.direction!r}')
        if self.multiple is not None and (not isinstance(self.multiple, int) or self.multiple < 1):
            raise InputError(f"multiple is {self.multiple!r}; it must be a whole number of at least 1, such as 16")
        check_blocks(self.blocks)

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        return cls("nearest"), cls("up"), cls("down"), cls("cost")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls("up", 24), cls("nearest", 16), cls("cost", 16)

    def plan(self, graph: Graph, target: Target) -> Plan:
        multiple = self.multiple or target.channel_multiple
        spatial = _spatial(graph)
        segments = movable(graph, self.blocks, read=True)
        choices = {s.name: self._even(s, multiple, s.name in spatial) for s in segments}
        if self.direction == "cost":
            chosen = self._cheapest(graph, target, choices)
        else:
            chosen = {name: self._nearest(even, graph.channels.segments[name].width) for name, even in choices.items()}
        keep = keep_by(self.importance)
        edits = [Resize(s.name, chosen[s.name], keep) for s in segments if chosen[s.name] != s.width]
        if not edits:
            for segment in segments:
                if segment.no_pad and segment.width % lcm(multiple, segment.multiple):
                    raise NotApplicable(why_no_growth(segment))
            raise NotApplicable(
                f"the widths in {self.blocks!r} are already even: multiples of {multiple}, too small to move, or fixed"
            )
        return Plan(tuple(edits))

    def _even(self, segment: Segment, multiple: int, spatial: bool) -> tuple[int, ...]:
        """The widths it may take, the smaller first; its own where it is even or left alone."""
        step = lcm(multiple, segment.multiple)
        width = segment.width
        up, down = -(-width // step) * step, width // step * step
        if up == down:
            return (width,)
        if segment.no_pad:
            return (width,) if self.direction == "up" or not down else (down, width)
        if self.direction == "up":
            return (up,)
        if down:
            return (down, up)
        # of a width below one multiple only maps are worth padding
        return (up,) if spatial and self.direction != "down" and 2 * width >= up else (width,)

    def _nearest(self, choices: tuple[int, ...], width: int) -> int:
        smaller, larger = choices[0], choices[-1]
        if self.direction == "down" or larger == width:
            return smaller
        return larger if 2 * width >= smaller + larger else smaller

    def _cheapest(self, graph: Graph, target: Target, choices: Mapping[str, tuple[int, ...]]) -> Mapping[str, int]:
        if not is_calibrated(target):
            raise NotApplicable(
                f'direction "cost" asks estimates of {target.name}, which is not calibrated; "nearest" asks none'
            )
        together = {names: choices[names[0]] for names in graph.channels.together(choices)}
        widths = cheapest_widths(graph, target, together, Budgets(sram_kib=self.sram_kib, model_kib=self.model_kib))
        return {name: width for names, width in widths.items() for name in names}


def _spatial(graph: Graph) -> set[str]:
    """Segments of feature maps; the others exist only behind a global pooling."""
    return {
        segment
        for tensor, layout in graph.channels.layout.items()
        if graph.by_name[tensor].elements > graph.by_name[tensor].shape[layout.axis]
        for segment in layout.segments
    }
