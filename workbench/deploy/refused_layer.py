"""Which layer of a module a converter stopped at, as far as its own words tell."""

import re
from collections.abc import Iterator

import torch
from torch import fx, nn

from ..errors import WorkbenchError
from ..graph import Graph
from ..graph.kinds import KINDS
from ..graph.trace import trace
from .file_layers import exported, module_of, operators

__all__ = ["refused_layer", "refused_operator"]

_EXECUTING = re.compile(r"While executing %(\w+) .*?target=torch\.ops\.aten\.(\w+)", re.DOTALL)
_NUMBER = re.compile(r"Node number (\d+) \((\w+)\)")
_CODE = re.compile(r"builtin opcode '(\w+)'")


def refused_layer(module: nn.Module, images: torch.Tensor, text: str) -> str:
    """The words " (OPERATOR in PATH)": of an exported node that the converter names, or of one that no rule knows.

    "" where neither tells. images: what the module was converted with, [N, C, H, W].
    """
    try:
        graph = exported(module, images[:1])
        named = _EXECUTING.search(text)
        if named is not None:
            return _place(module, next(_nodes(graph, *named.groups()), None))
        return _unknown(trace(module, None, example_inputs=(images[:1],)))
    except WorkbenchError:
        return ""


def _nodes(graph: fx.GraphModule, name: str, kind: str) -> Iterator[fx.Node]:
    """The node of that name, then those of that operator: the converter renames some."""
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    yield from (node for node in nodes if node.name == name)
    yield from (node for node in nodes if str(node.target).removeprefix("aten.").partition(".")[0] == kind)


def _place(module: nn.Module, node: fx.Node | None) -> str:
    if node is None:
        return ""
    path = module_of(node)
    where = f"{path} ({type(module.get_submodule(path)).__name__})" if path else type(module).__name__
    return f", {node.name} of {where}"


def _unknown(graph: Graph) -> str:
    """The operators that have no kind: what cannot be lowered is most likely one of them."""
    unknown = [op for op in graph.ops if op.kind not in KINDS]
    places = dict.fromkeys(f"{op.kind} of {op.module or 'the network'}" for op in unknown)
    return f"; it may be {', '.join(list(places)[:3])}" if places else ""


def refused_operator(file: bytes, text: str) -> str:
    """The words ", OPERATOR that makes TENSOR", where the interpreter names an operator of the file."""
    sequence = operators(file)
    number, code = _NUMBER.search(text), _CODE.search(text)
    if number is not None and int(number[1]) < len(sequence):
        op = sequence[int(number[1])]
    elif code is not None and any(op.kind == code[1] for op in sequence):
        op = next(op for op in sequence if op.kind == code[1])
    else:
        return ""
    return f", {op.kind} that makes {op.outputs[0].rpartition('/')[2] if op.outputs else 'nothing'}"
