"""Which channel segments a selector lets a transform move."""

from ..graph import Graph, Segment
from .select import select

__all__ = ["movable"]


def movable(graph: Graph, blocks: str | tuple[str, ...]) -> tuple[Segment, ...]:
    """The segments made in the selected blocks that are not frozen, in execution order."""
    channels = graph.channels
    if blocks == "*":
        names = list(channels.segments)
    else:
        made = [name for block in select(graph, blocks) for name in block.ops]
        layouts = [
            channels.layout[name]
            for name in made
            if name in channels.layout and graph.by_name[name].kind in ("conv2d", "linear", "conv1d", "conv_transpose2d")
        ]
        names = list(dict.fromkeys(segment for layout in layouts for segment in layout.segments))
    return tuple(channels.segments[name] for name in names if not channels.segments[name].frozen)
