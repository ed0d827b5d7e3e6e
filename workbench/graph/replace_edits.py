"""Operators replaced by others or taken out, and the module tree behind that."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from ..errors import NotApplicable, unknown
from .graph import Graph
from .op import Op
from .paths import around
from .plan import ExchangeLayer, FuseLayers, RemoveModule, ReplaceBlock, Replacement
from .propagate import propagate

__all__ = ["SAME_CLASSES", "operator", "replace_operators"]

# Layers that pad as TensorFlow's "SAME" does: kind of operator -> class.
SAME_CLASSES: Mapping[str, str] = {
    "conv2d": "timm.layers.conv2d_same.Conv2dSame",
    "max_pool2d": "timm.layers.pool2d_same.MaxPool2dSame",
    "avg_pool2d": "timm.layers.pool2d_same.AvgPool2dSame",
}
_PLAIN_CLASSES: Mapping[str, str] = {
    "conv2d": "torch.nn.modules.conv.Conv2d",
    "batch_norm": "torch.nn.modules.batchnorm.BatchNorm2d",
    "linear": "torch.nn.modules.linear.Linear",
}


def operator(graph: Graph, name: str) -> Op:
    """The operator of that name; UnknownName where there is none."""
    if name not in graph.by_name:
        raise unknown("operator", name, graph.by_name)
    return graph.by_name[name]


def replace_operators(graph: Graph, edits: Sequence[Replacement]) -> Graph:
    """Edits that touch different operators of the graph as it is are carried out at once, others one after another."""
    batch: list[Replacement] = []
    touched: set[str] = set()
    for edit in edits:
        if not touched.isdisjoint(edit.ops) or not graph.by_name.keys() >= set(edit.ops):
            graph, batch = _replace_at_once(graph, batch), []
            touched.clear()
        batch.append(edit)
        touched.update(edit.ops)
    return _replace_at_once(graph, batch)


@dataclass(frozen=True)
class _NewModule:
    """A module of another class in the place of a module, and all the operators in it that the edit brings."""

    path: str
    cls: str
    ops: tuple[Op, ...]


def _new_module(edit: Replacement, added: tuple[Op, ...]) -> tuple[_NewModule, ...]:
    """The module an edit brings; none where the modules keep their classes."""
    match edit:
        case ReplaceBlock():
            return (_NewModule(edit.module, edit.module_class, added),)
        case FuseLayers():
            return (_NewModule(added[-1].module, edit.module_class, added),)
        case ExchangeLayer() | RemoveModule():
            return ()


def _replace_at_once(graph: Graph, edits: Sequence[Replacement]) -> Graph:
    removed: set[str] = set()
    added: dict[str, tuple[Op, ...]] = {}  # the last of the replaced operators -> those in its place
    rewired: dict[str, str] = {}  # the output of a module taken out -> what the module read
    modules: list[_NewModule] = []
    for edit in edits:
        old = [operator(graph, name) for name in edit.ops]
        last, names = old[-1].name, {op.name for op in old}
        removed |= names
        if not edit.new_ops:
            rewired[last] = next(i for op in old for i in op.inputs if i not in names)
            continue
        renamed = {edit.new_ops[-1].name: last}
        added[last] = tuple(
            replace(op, name=renamed.get(op.name, op.name), inputs=tuple(renamed.get(i, i) for i in op.inputs))
            for op in edit.new_ops
        )
        taken = {op.name for op in added[last]} & (set(graph.by_name) - names)
        if taken:
            raise NotApplicable(f"{old[-1].module or last}: the name {min(taken)!r} is already in the graph")
        modules += _new_module(edit, added[last])
    tree = _modules(graph, removed, {module.path: module for module in modules})
    return _spliced(Graph(graph.ops, graph.outputs, tree), removed, added, rewired)


def _spliced(graph: Graph, removed: Set[str], added: Mapping[str, tuple[Op, ...]], rewired: Mapping[str, str]) -> Graph:
    """The graph without the removed operators, with the added ones in their places."""

    def source(name: str) -> str:
        while name in rewired:
            name = rewired[name]
        return name

    ops: list[Op] = []
    for old in graph.ops:
        for op in added.get(old.name, () if old.name in removed else (old,)):
            inputs = tuple(map(source, op.inputs)) if rewired else op.inputs
            ops.append(op if inputs == op.inputs else replace(op, inputs=inputs))
    names = {op.name for op in ops}
    for op in ops:
        dangling = next((i for i in op.inputs if i not in names), "")
        if dangling:
            raise NotApplicable(f"{op.module or op.name} still reads {dangling!r}, which would be removed")
    outputs = tuple(map(source, graph.outputs))
    fresh = {op.name for parts in added.values() for op in parts}
    edited = Graph(tuple(ops), outputs, graph.modules)
    return propagate(edited, {op.name: op for op in ops if op.name in fresh}, fresh=True)


def _modules(graph: Graph, removed: Set[str], new: Mapping[str, _NewModule]) -> tuple[tuple[str, str], ...]:
    """The module tree with the new modules, by path, in the place of what stood there."""
    if not new:
        return graph.modules
    used = {path for op in graph.ops if op.name not in removed for path in around(op.module)}
    used |= {op.module for module in new.values() for op in module.ops}
    old = {path for path, _ in graph.modules}
    tree: dict[str, str] = {}
    for path, cls in graph.modules:
        if path in new:
            ops = new[path].ops
            tree[path] = new[path].cls
            padded = {op.module for op in ops if op.kind == "pad"}
            for op in ops:
                if op.module not in old:
                    tree[op.module] = SAME_CLASSES["conv2d"] if op.module in padded else _PLAIN_CLASSES.get(op.kind, "")
        elif path in used or not any(outer in new for outer in around(path)):
            tree[path] = cls
    return tuple(tree.items())
