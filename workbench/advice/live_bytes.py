"""What a block needs of memory while it runs."""

from ..estimators import Estimate
from ..graph import Graph

__all__ = ["live_bytes"]


def live_bytes(graph: Graph, estimate: Estimate) -> dict[str, int]:
    """Block -> the most bytes of feature maps alive while it runs; blocks without a step of their own are left out."""
    home = {name: block.name for block in graph.blocks for name in block.ops}
    top: dict[str, int] = {}
    for name, live, _ in estimate.detail.timeline():
        if name in home:
            top[home[name]] = max(top.get(home[name], 0), live)
    return top
