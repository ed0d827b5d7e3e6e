"""Another expansion ratio: the width inside a block."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Self

from ..errors import InputError
from ..graph import Block, Graph, Plan, Resize, Segment
from ..hardware import Target
from .base import Blocks, Transform
from .movable_widths import Importance, keep_by, why_no_growth
from .per_block import per_block
from .select import check_blocks, select

__all__ = ["LARGEST", "ExpandRatio", "inner_segments"]

LARGEST = 16  # ratio
_SHARES = (0.75, 0.5, 0.25)  # of the width inside, offered to advice and searches


@dataclass(frozen=True)
class ExpandRatio(Transform):
    """Give blocks another expansion ratio: the widest width inside over the width they read (Sandler et al. 2018, t).

    What a block reads and makes stays, so blocks change one by one, and no width shared through residual additions
    moves. Searches choose it, with kernel sizes and depths (Cai et al. 2020).

    ratio: above 0, at most 16. Widths inside move alike and are rounded to `multiple`, at least one of it;
    squeeze-excite reductions stay. Widening adds channels nobody listens to yet: the function stays; narrowing keeps
    the most important ones.
    blocks: selector; blocks without widths of their own inside, and those that join branches side by side (no width of
    theirs is the block's), are passed over unless named by their full path.
    importance: by what narrowed widths keep channels: "magnitude" of the weights, "batch-norm" scales, or "taylor", the
    loss's first-order change on the images of `build(calibration=...)` (magnitude where there are none).
    multiple: None takes the target's own (`Target.channel_multiple`); 1 gives whole channels.

    >>> ExpandRatio(4, "blocks.3.*")
    ExpandRatio(ratio=4, blocks='blocks.3.*', importance='magnitude', multiple=None)
    """

    ratio: float = 4.0
    blocks: Blocks = "*"
    importance: Importance = "magnitude"
    multiple: int | None = None

    def __post_init__(self) -> None:
        keep_by(self.importance)
        number = isinstance(self.ratio, int | float) and not isinstance(self.ratio, bool)
        if not number or not 0 < self.ratio <= LARGEST:
            raise InputError(f"ratio is {self.ratio!r}; it must be above 0 and at most {LARGEST}, such as 4")
        if self.multiple is not None and (not isinstance(self.multiple, int) or self.multiple < 1):
            raise InputError(f"multiple is {self.multiple!r}; it must be a whole number of at least 1, such as 16")
        check_blocks(self.blocks)

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        """The block with shares of the width it has inside, where the ratio that gives them is one it can have."""
        ratios = {share: round(share * block.mid_width / max(1, block.width), 4) for share in _SHARES}
        return {f"narrow {share}": cls(ratio, block.name) for share, ratio in ratios.items() if 0 < ratio <= LARGEST}

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(3),)

    def plan(self, graph: Graph, target: Target) -> Plan:
        inner = {block: inner_segments(graph, block) for block in select(graph, self.blocks)}
        scaled = {s: s.width * self.ratio * b.width / b.mid_width for b, segments in inner.items() for s in segments}

        def edits(segment: Segment) -> list[Resize]:
            width = _rounded(segment, scaled[segment], self.multiple or target.channel_multiple)
            return [] if width == segment.width else [Resize(segment.name, width, keep_by(self.importance))]

        fixed = next((f": {why_no_growth(s)}" for s, width in scaled.items() if s.no_pad and width > s.width), "")
        none = f"a ratio of {self.ratio} changes no width inside the blocks {self.blocks!r}{fixed}"
        return per_block(graph, self.blocks, lambda block: inner[block], edits, "has no width of its own inside", none)


def inner_segments(graph: Graph, block: Block) -> list[Segment]:
    """Segments of feature maps that live in the block alone, in execution order."""
    channels = graph.channels
    inside = set(block.ops) - {block.output}
    joined = any(graph.by_name[name].kind == "concat" for name in block.ops)
    if block.kind == "head" or (joined and block.kind == "other"):
        return []  # branches side by side: none of their widths is what the block expands to
    segments = {
        name: None
        for tensor in block.ops
        if tensor in channels.layout and _is_map(graph, tensor)
        for name in channels.layout[tensor].segments
    }
    for tensor, layout in channels.layout.items():
        if tensor not in inside and graph.by_name[tensor].kind != "param":
            for name in layout.segments:
                segments.pop(name, None)
    free = channels.together(name for name in segments if not channels.segments[name].frozen)
    return [channels.segments[name] for names in free for name in names]


def _is_map(graph: Graph, tensor: str) -> bool:
    op = graph.by_name[tensor]
    return op.elements > op.shape[graph.channels.layout[tensor].axis]


def _rounded(segment: Segment, scaled: float, multiple: int) -> int:
    step = lcm(multiple, segment.multiple)
    width = max(step, round(scaled / step) * step)
    return min(width, segment.width) if segment.no_pad or scaled < segment.width else max(width, segment.width)
