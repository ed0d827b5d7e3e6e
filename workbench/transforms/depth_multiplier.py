"""Depth multiplier: a ratio on the number of channels."""

from dataclasses import dataclass
from math import lcm
from typing import Self

from ..errors import InputError, NotApplicable
from ..graph import Graph, Plan, Resize, Segment
from ..hardware import Target
from .base import Blocks, Transform
from .movable_widths import Importance, keep_by, movable, why_no_growth
from .select import check_blocks

__all__ = ["DepthMultiplier"]


@dataclass(frozen=True)
class DepthMultiplier(Transform):
    """Multiply channel widths by a ratio, over the whole network or a range of blocks.

    "Depth" is the article's and MobileNet's word for the channel dimension of a feature map (Howard et al. 2017,
    section 3.3: the width multiplier). It is not timm's `depth_multiplier`, which counts layers.

    ratio: above 0, at most 4. Widths are rounded to `multiple`, never below 90 % of what was asked for
    (MobileNetV2's rule) and never against the ratio's direction; widths under `multiple` are rounded to whole channels.
    blocks: selector; the widths the selected blocks make are scaled, not those they read, so that neighbouring
    ranges may have ratios of their own. Widths shared through residual additions move together.
    importance: by what narrowed widths keep channels: "magnitude" of the weights, "batch-norm" scales, or "taylor", the
    loss's first-order change on the images of `build(calibration=...)` (magnitude where there are none).
    multiple: of channels; 1 gives whole channels.

    >>> DepthMultiplier(0.75)
    DepthMultiplier(ratio=0.75, blocks='*', importance='magnitude', multiple=8)
    """

    ratio: float = 0.75
    blocks: Blocks = "*"
    importance: Importance = "magnitude"
    multiple: int = 8

    def __post_init__(self) -> None:
        keep_by(self.importance)
        number = isinstance(self.ratio, (int, float)) and not isinstance(self.ratio, bool)
        if not number or not 0 < self.ratio <= 4:
            raise InputError(f"ratio is {self.ratio!r}; it must be above 0 and at most 4, such as 0.75")
        if not isinstance(self.multiple, int) or isinstance(self.multiple, bool) or self.multiple < 1:
            raise InputError(f"multiple is {self.multiple!r}; it must be a whole number of at least 1, such as 8")
        check_blocks(self.blocks)

    @classmethod
    def network_options(cls, graph: Graph) -> tuple[Self, ...]:
        return cls(0.9), cls(0.75)

    def plan(self, graph: Graph, target: Target) -> Plan:
        segments = movable(graph, self.blocks)
        widths = ((segment, self._scaled(segment)) for segment in segments)
        edits = tuple(
            Resize(segment.name, width, keep_by(self.importance)) for segment, width in widths if width != segment.width
        )
        if not edits:
            first = segments[0]
            stays = f"{first.name} keeps its {first.width} channels"
            why = why_no_growth(first) if self.ratio > 1 and first.no_pad else stays
            raise NotApplicable(f"a ratio of {self.ratio} changes no width in {self.blocks!r}: {why}")
        return Plan(edits)

    def _scaled(self, segment: Segment) -> int:
        scaled = segment.width * self.ratio
        step = lcm(self.multiple if segment.width >= self.multiple else 1, segment.multiple)
        width = max(step, int(scaled + step / 2) // step * step)
        if width < 0.9 * scaled:
            width += step
        if self.ratio <= 1 or segment.no_pad:
            return min(width, segment.width) if self.ratio < 1 else segment.width
        return max(width, segment.width)
