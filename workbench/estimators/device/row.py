"""One measured latency: what every device model is learned from."""

from dataclasses import dataclass

from ...graph import Graph
from .runtime_profile import Node

__all__ = ["LEAST_ROWS", "Row"]

LEAST_ROWS = 5  # that a model is fitted to


@dataclass(frozen=True)
class Row:
    """One measured latency, batch 1.

    part: "" for the whole graph, else a module path or an operator's name. family: what is held out together. nodes:
    the times of the runtime's profiler, empty where it has none.
    """

    graph: Graph
    latency_ms: float
    name: str
    family: str = ""
    part: str = ""
    nodes: tuple[Node, ...] = ()
