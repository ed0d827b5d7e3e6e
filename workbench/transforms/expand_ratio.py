"""Another expansion ratio: the width inside a block."""

from dataclasses import dataclass
from math import lcm

from ..errors import InputError, NotApplicable
from ..graph import Block, Graph, Plan, Resize, Segment
from ..hardware import Target
from .base import Blocks, Transform
from .select import check_blocks, named, select
from .widths import Importance, keep_by, kept

__all__ = ["ExpandRatio"]


@dataclass(frozen=True)
class ExpandRatio(Transform):
    """Give blocks another expansion ratio: the widest width inside over the width they read (Sandler et al. 2018, t).

    What a block reads and makes stays, so blocks change one by one, and no width shared through residual additions
    moves. Searches choose it, with kernel sizes and depths (Cai et al. 2020).

    ratio: above 0, at most 16. Widths inside move alike and are rounded to a multiple of the target's parallelism
    factor, at least one; squeeze-excite reductions stay. Widening adds channels nobody listens to yet: the function
    stays; narrowing keeps the most important ones.
    blocks: selector; blocks without widths of their own inside, and those that join branches side by side (no width of
    theirs is the block's), are passed over unless named by their full path.
    importance: by what narrowed widths keep channels: "magnitude" of the weights, "batch-norm" scales, or "taylor", the
    loss's first-order change on the images of `build(calibration=...)` (magnitude where there are none).

    >>> ExpandRatio(4, "blocks.3.*")
    ExpandRatio(ratio=4, blocks='blocks.3.*', importance='magnitude')
    """

    ratio: float = 4.0
    blocks: Blocks = "*"
    importance: Importance = "magnitude"

    def __post_init__(self) -> None:
        keep_by(self.importance)
        number = isinstance(self.ratio, int | float) and not isinstance(self.ratio, bool)
        if not number or not 0 < self.ratio <= 16:
            raise InputError(f"ratio is {self.ratio!r}; it must be above 0 and at most 16, such as 4")
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        edits: dict[str, Resize] = {}
        meant, why = named(self.blocks), ""
        for block in select(graph, self.blocks):
            inner = _inner(graph, block)
            if not inner and block.name in meant:
                raise NotApplicable(f"{block.name} ({block.kind}) has no width of its own inside")
            scale = self.ratio * block.width / block.mid_width
            for segment in inner:
                width = _rounded(segment, segment.width * scale, target.channel_multiple)
                if segment.no_pad and segment.width * scale > segment.width:
                    why = why or f": {kept(segment)}"
                if width != segment.width:
                    edits[segment.name] = Resize(segment.name, width, keep_by(self.importance))
        if not edits:
            raise NotApplicable(f"a ratio of {self.ratio} changes no width inside the blocks {self.blocks!r}{why}")
        return Plan(tuple(edits.values()))


def _inner(graph: Graph, block: Block) -> list[Segment]:
    """Segments of feature maps that live in the block alone, in execution order."""
    channels = graph.channels
    inside = set(block.ops) - {block.output}
    joined = any(graph.by_name[name].kind == "concat" for name in block.ops)
    if block.kind == "head" or (joined and block.kind == "other"):
        return []  # branches side by side: none of their widths is what the block expands to
    found = {
        name: None
        for tensor in block.ops
        if tensor in channels.layout and _is_map(graph, tensor)
        for name in channels.layout[tensor].segments
    }
    for tensor, layout in channels.layout.items():
        if tensor not in inside and graph.by_name[tensor].kind != "param":
            for name in layout.segments:
                found.pop(name, None)
    free = channels.together(name for name in found if not channels.segments[name].frozen)
    return [channels.segments[name] for names in free for name in names]


def _is_map(graph: Graph, tensor: str) -> bool:
    op = graph.by_name[tensor]
    return op.elements > op.shape[graph.channels.layout[tensor].axis]


def _rounded(segment: Segment, wanted: float, multiple: int) -> int:
    step = lcm(multiple, segment.multiple)
    width = max(step, round(wanted / step) * step)
    return min(width, segment.width) if segment.no_pad or wanted < segment.width else max(width, segment.width)
