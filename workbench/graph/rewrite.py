"""(Graph, Plan) -> Graph: carries the primitive edits out on the graph, sharing what did not change."""

from .ir import Graph
from .plan import Plan

__all__ = ["rewrite"]


def rewrite(graph: Graph, plan: Plan) -> Graph:
    raise NotImplementedError
