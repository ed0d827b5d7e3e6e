"""What a network needs of memory while it runs: the feature maps alive at every step."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..estimators import Estimate
from ..graph import Graph

__all__ = ["Step", "live_bytes", "live_steps"]


@dataclass(frozen=True)
class Step:
    """One step of an inference: the operator that runs, its block ("" where it has none), the bytes alive while it
    runs (what it reads and makes included), and the tensors they are, the largest first: (name, bytes).
    """

    op: str
    block: str
    live_bytes: int
    tensors: tuple[tuple[str, int], ...]


def live_steps(graph: Graph, estimate: Estimate) -> Sequence[Step]:
    """Every step in execution order."""
    home = {name: block.name for block in graph.blocks for name in block.ops}
    steps = []
    for name, live, tensors in estimate.detail.timeline():
        steps.append(Step(name, home.get(name, ""), live, tuple(sorted(tensors, key=lambda item: -item[1]))))
    return steps


def live_bytes(graph: Graph, estimate: Estimate) -> dict[str, int]:
    """Block -> the most bytes of feature maps alive while it runs; blocks without a step of their own are left out."""
    home = {name: block.name for block in graph.blocks for name in block.ops}
    top: dict[str, int] = {}
    for name, live, _ in estimate.detail.timeline():
        if name in home:
            top[home[name]] = max(top.get(home[name], 0), live)
    return top
