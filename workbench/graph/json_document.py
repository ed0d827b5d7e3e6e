"""A Graph as a JSON document and back: plain data, so that networks to measure can travel with their table."""

import json
from typing import Any

from ..errors import FileFormatError
from .graph import Graph
from .op import Op, Param

__all__ = ["graph_from_json", "graph_to_json"]

_VERSION = 1


def graph_to_json(graph: Graph) -> str:
    """One line an operator; `graph_from_json` gives an equal graph (the module tree is left out).

    >>> from workbench.estimators.random_networks import sample
    >>> graph_from_json(graph_to_json(sample(0)), "sample0.json").digest == sample(0).digest
    True
    """
    lines = [
        json.dumps(
            {
                "name": op.name, "kind": op.kind, "inputs": op.inputs, "shape": op.shape, "attrs": dict(op.attrs),
                "params": [_param(p) for p in op.params], "module": op.module,
            }
        )
        for op in graph.ops
    ]  # fmt: skip
    unread = {"unread": graph.unread} if graph.unread else {}
    head = json.dumps({"workbench_graph": _VERSION, "digest": graph.digest, "outputs": graph.outputs, **unread})
    return head[:-1] + ', "ops": [\n' + ",\n".join(lines) + "\n]}\n"


def graph_from_json(text: str, source: str) -> Graph:
    """The graph of a document; `source` names it in errors. Raises FileFormatError where it is damaged."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{source}: not a JSON document ({error})") from None
    if not isinstance(data, dict) or data.get("workbench_graph") != _VERSION:
        raise FileFormatError(f"{source}: not a graph of version {_VERSION}, which `workbench calibrate --emit` writes")
    try:
        ops = tuple(
            Op(
                str(op["name"]), str(op["kind"]), tuple(op["inputs"]), tuple(op["shape"]),
                tuple((key, _frozen(value)) for key, value in op["attrs"].items()),
                tuple(map(_read_param, op["params"])),
                str(op["module"]),
            )
            for op in data["ops"]
        )  # fmt: skip
        unread = tuple((str(name), tuple(map(int, shape))) for name, shape in data.get("unread", ()))
        graph = Graph(ops, tuple(data["outputs"]), unread=unread)
        names: set[str] = set()
        for op in ops:
            if not all(isinstance(n, int) and n >= 0 for n in op.shape) or not names.issuperset(op.inputs):
                raise ValueError(f"the operator {op.name!r} reads what nobody made, or its shape is not one")
            names.add(op.name)
        digest = graph.digest
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{source}: damaged ({type(error).__name__}: {error})") from None
    if digest != data.get("digest") or not names.issuperset(graph.outputs):
        raise FileFormatError(f"{source}: its operators are not those it was written with (digest {digest})")
    return graph


def _param(param: Param) -> list[Any]:
    """role, name, shape, then what few have: whether it is computed, and its parts."""
    plain = [param.role, param.name, param.shape]
    if param.parts is not None:
        return [*plain, param.computed, param.parts]
    return [*plain, *[True] * param.computed]


def _read_param(row: list[Any]) -> Param:
    role, name, shape, *more = row
    parts = None if len(more) < 2 else tuple((str(key), tuple(dims)) for key, dims in more[1])
    return Param(str(role), str(name), tuple(shape), bool(more and more[0]), parts)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
