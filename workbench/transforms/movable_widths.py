"""Which channel segments a selector lets a transform move, and by what narrowed ones keep their channels."""

from typing import Literal, get_args

from ..errors import NotApplicable, unknown
from ..graph import Graph, Op, Segment
from ..graph.kinds import LAYERS
from .select import select

__all__ = ["Importance", "keep_by", "movable", "why_no_growth"]

Importance = Literal["magnitude", "batch-norm", "taylor"]


def keep_by(importance: str) -> str:
    """`Resize.keep` for a transform's choice; raises UnknownName where it is none."""
    if importance not in get_args(Importance):
        raise unknown("importance", importance, get_args(Importance))
    return "importance" if importance == "magnitude" else importance


def movable(graph: Graph, blocks: str | tuple[str, ...], read: bool = False) -> tuple[Segment, ...]:
    """The segments made by the selected blocks (read: or read by them) that are not frozen, in execution order.

    Raises NotApplicable where all of them are frozen, with the reason of one.
    """
    channels = graph.channels
    if blocks == "*":
        names = list(channels.segments)
    else:
        chosen = select(graph, blocks)
        tensors = [name for block in chosen for name in block.ops if _makes(graph.by_name[name])]
        if read:
            tensors += [block.input for block in chosen]
        layouts = [channels.layout[name] for name in tensors if name in channels.layout]
        reached = {segment for layout in layouts for segment in layout.segments}
        names = [name for name in channels.segments if name in reached]
    selected = [channels.segments[name] for name in names]
    free = tuple(channels.segments[n] for ns in channels.together(s.name for s in selected if not s.frozen) for n in ns)
    if selected and not free:
        kept = next((segment for segment in reversed(selected) if segment.frozen), selected[-1])
        reason = kept.frozen or f"parts that must equal it lie outside {blocks!r}; select their blocks, too"
        raise NotApplicable(f"{kept.name} keeps its {kept.width} channels: {reason}")
    if not free:
        raise NotApplicable(f"no layer in {blocks!r} makes channels")
    return free


def why_no_growth(segment: Segment) -> str:
    """Why a segment that may shrink does not grow."""
    return f"{segment.name} keeps its {segment.width} channels, as more would change the function: {segment.no_pad}"


def _makes(op: Op) -> bool:
    """A layer that makes channels of its own; a depthwise convolution hands on those it reads."""
    return op.kind in LAYERS and not op.is_depthwise
