"""Which operator a compiler stops at that names none: the network is compiled up to one, and to another, by halves."""

from collections.abc import Callable

from ..graph import Graph, Op

__all__ = ["refused_operator"]


def refused_operator(graph: Graph, refuses: Callable[[Graph], bool]) -> Op | None:
    """The first operator with which the network up to it is refused, as the whole is.

    refuses: called on about log2(n) beginnings of the network. None where nothing is taken: it is not the network then.

    >>> from workbench.estimators.random_networks import sample
    >>> graph = sample(0)
    >>> refused_operator(graph, lambda part: len(part.ops) > 5) == graph.ops[5]
    True
    """
    first = next((i for i, op in enumerate(graph.ops) if op.kind not in _NOT_RUN), len(graph.ops))
    taken, refused = first, len(graph.ops)  # operators of beginnings that are taken, and refused
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if refuses(_beginning(graph, middle)):
            refused = middle
        else:
            taken = middle
    return graph.ops[refused - 1] if taken > first else None


_NOT_RUN = ("input", "param")


def _beginning(graph: Graph, count: int) -> Graph:
    """The first operators as a network: what later ones read of them are its outputs."""
    ops = graph.ops[:count]
    names = {op.name for op in ops}
    run = [op.name for op in ops if op.kind not in _NOT_RUN]
    read = (name for name in run if any(reader.name not in names for reader in graph.consumers[name]))
    return Graph(ops, tuple(dict.fromkeys([*read, *(name for name in run if name in graph.outputs)])), graph.modules)
