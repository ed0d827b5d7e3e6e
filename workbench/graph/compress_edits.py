"""Compress edits on the graph: operators whose weights are pruned or clustered say so; no shape changes."""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import NotApplicable, unknown
from .compress import Schemes, check_scheme
from .graph import Graph
from .op import Op
from .plan import Compress

__all__ = ["as_built", "compress"]


def compress(graph: Graph, edits: Sequence[Compress]) -> Graph:
    """The schemes behind those the operators already have, on every operator that reads the same weights."""
    schemes: dict[str, Schemes] = {}
    for edit in edits:
        if edit.op not in graph.by_name:
            raise unknown("operator", edit.op, graph.by_name)
        op = graph.by_name[edit.op]
        check_scheme(edit.scheme)
        weight = op.param("weight")
        if weight is None or len(weight.shape) < 2:
            raise NotApplicable(f"{op.module or op.name}: a {op.kind} has no weight matrix that could be compressed")
        if weight.computed:
            raise NotApplicable(
                f"{op.module or op.name}: its weight is computed from its parameters, which would undo a compression"
            )
        before = schemes.get(weight.name, op.get("compress", ()))
        schemes[weight.name] = before if before[-1:] == (edit.scheme,) else (*before, edit.scheme)

    def edited(op: Op) -> Op:
        weight = op.param("weight")
        own = schemes.get(weight.name) if weight is not None else None
        return op if own is None or own == op.get("compress") else op.with_attrs(compress=own)

    return Graph(tuple(edited(op) for op in graph.ops), graph.outputs, graph.modules)


def as_built(graph: Graph) -> Graph:
    """The graph of the module a plan was carried out on: its weights are compressed, so no operator names a scheme."""

    def plain(op: Op) -> Op:
        if "compress" not in dict(op.attrs):
            return op
        return replace(op, attrs=tuple(attr for attr in op.attrs if attr[0] != "compress"))

    return Graph(tuple(plain(op) for op in graph.ops), graph.outputs, graph.modules)
