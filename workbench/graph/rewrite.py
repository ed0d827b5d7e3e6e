"""(Graph, Plan) -> Graph: carries the primitive edits out on the graph, sharing what did not change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ..errors import NotApplicable, WorkbenchError, unknown
from .compress_edits import compress
from .graph import Graph
from .layer_padding import is_padding_of
from .op import Op
from .paths import around
from .plan import Compress, Edit, Plan, Replace, Resize, SetInput, SetSpatial
from .propagate import propagate
from .resize_edits import resize

__all__ = ["rewrite"]


def rewrite(graph: Graph, plan: Plan) -> Graph:
    """The graph after the plan's edits, in their order; raises before anything is made where one does not fit.

    Neighbouring Resize edits are carried out together, so two segments a constraint binds may change at once; so are
    SetSpatial edits: branches that meet change their maps at once.
    """
    for _, group in groupby(plan.edits, type):
        edits = tuple(group)
        edited = _rewritten(graph, edits)
        if edited is not graph and graph.origin is not None:
            edited = replace(edited, origin=graph.origin.after(edits))
        graph = edited
    return graph


def _rewritten(graph: Graph, edits: Sequence[Edit]) -> Graph:
    """The graph after edits of one kind."""
    match edits[0]:
        case Resize():
            return resize(graph, [e for e in edits if isinstance(e, Resize)])
        case Replace():
            return _replace(graph, [e for e in edits if isinstance(e, Replace)])
        case SetSpatial():
            return _set_spatial(graph, [e for e in edits if isinstance(e, SetSpatial)])
        case Compress():
            return compress(graph, [e for e in edits if isinstance(e, Compress)])
        case SetInput():  # of several the last one counts
            return _set_input(graph, [e for e in edits if isinstance(e, SetInput)][-1])


# ---- SetInput and SetSpatial ------------------------------------------------------------------------------------

# Modules whose code refuses other image sizes or brings them to its own, which a graph does not show.
_FIXED = frozenset(
    (
        "timm.layers.patch_embed.PatchEmbed",
        "timm.layers.hybrid_embed.HybridEmbed",
        "timm.models.crossvit.PatchEmbed",
    )
)


def _set_input(graph: Graph, edit: SetInput) -> Graph:
    """By the rules for shapes; where they do not tell what another size does, by the network itself."""
    (only,) = graph.inputs
    try:
        fixed = next((path for path, cls in graph.modules if cls in _FIXED), None)
        if fixed is not None:
            raise NotApplicable(f"{fixed} ({graph.classes[fixed].rpartition('.')[2]}) is made for one image size")
        return propagate(graph, {only.name: replace(only, shape=(only.shape[0], *edit.shape))})
    except NotApplicable as error:
        if graph.origin is None:
            raise
        size = f"{edit.shape[1]} x {edit.shape[2]}"
        try:
            traced = graph.origin.trace_at(edit.shape)
        except WorkbenchError as refused:
            raise NotApplicable(f"{error}, and the network does not run on images of {size}") from refused
        try:
            return rewrite(traced, graph.origin.plan)
        except WorkbenchError as unfit:
            raise NotApplicable(f"{error}, and the edits before do not fit the network at {size}: {unfit}") from unfit


def _set_spatial(graph: Graph, edits: Sequence[SetSpatial]) -> Graph:
    changed: dict[str, Op] = {}
    same: dict[str, str] = {}  # module -> its class now
    for edit in edits:
        op = changed.get(edit.op) or _op(graph, edit.op)
        padding, before = edit.padding, graph.by_name[op.inputs[0]]
        if edit.same:
            padding = (0, 0)
        elif padding is not None and is_padding_of(before, op):
            changed[before.name] = before.with_attrs(pads=((0, 0), (0, 0), *((p, p) for p in padding)))
            padding = None
        fields = {"stride": edit.stride, "dilation": edit.dilation, "padding": padding}
        op = changed[edit.op] = op.with_attrs(**{k: v for k, v in fields.items() if v is not None})
        if edit.same:
            if op.kind != "conv2d":  # nothing is left for a last, partial window
                changed[edit.op] = op.with_attrs(ceil=False)
            same[op.module] = _SAME[op.kind]
    modules = tuple((path, same.get(path, cls)) for path, cls in graph.modules) if same else graph.modules
    return propagate(Graph(graph.ops, graph.outputs, modules), changed)


def _op(graph: Graph, name: str) -> Op:
    if name not in graph.by_name:
        raise unknown("operator", name, graph.by_name)
    return graph.by_name[name]


# ---- Replace ----------------------------------------------------------------------------------------------------


def _replace(graph: Graph, edits: Sequence[Replace]) -> Graph:
    """Edits that touch different operators of the graph as it is are carried out at once, others one after another."""
    batch: list[Replace] = []
    touched: set[str] = set()
    for edit in edits:
        if not touched.isdisjoint(edit.ops) or not graph.by_name.keys() >= set(edit.ops):
            graph, batch = _replaced(graph, batch), []
            touched.clear()
        batch.append(edit)
        touched.update(edit.ops)
    return _replaced(graph, batch)


def _replaced(graph: Graph, edits: Sequence[Replace]) -> Graph:
    gone: set[str] = set()
    stands: dict[str, tuple[Op, ...]] = {}  # the last of the replaced -> what stands there now
    rewired: dict[str, str] = {}
    for edit in edits:
        old = [_op(graph, name) for name in edit.ops]
        last, names = old[-1].name, set(edit.ops)
        gone |= names
        if edit.new_ops:
            new = {edit.new_ops[-1].name: last}
            stands[last] = tuple(
                replace(op, name=new.get(op.name, op.name), inputs=tuple(new.get(i, i) for i in op.inputs))
                for op in edit.new_ops
            )
            taken = {op.name for op in stands[last]} & (set(graph.by_name) - names)
            if taken:
                raise NotApplicable(f"{edit.module or last}: the name {min(taken)!r} is already in the graph")
        else:
            rewired[last] = next(i for op in old for i in op.inputs if i not in names)

    def source(name: str) -> str:
        while name in rewired:
            name = rewired[name]
        return name

    ops: list[Op] = []
    for op in graph.ops:
        for now in stands.get(op.name, () if op.name in gone else (op,)):
            inputs = tuple(map(source, now.inputs)) if rewired else now.inputs
            ops.append(now if inputs == now.inputs else replace(now, inputs=inputs))
    there = {op.name for op in ops}
    for op in ops:
        bad = next((i for i in op.inputs if i not in there), "")
        if bad:
            raise NotApplicable(f"{op.module or op.name} still reads {bad!r}, which would be removed")
    outputs = tuple(map(source, graph.outputs))
    added = {op.name for some in stands.values() for op in some}
    edited = Graph(tuple(ops), outputs, _modules(graph, edits, gone, stands))
    return propagate(edited, {op.name: op for op in ops if op.name in added}, fresh=True)


_SAME: Mapping[str, str] = {
    "conv2d": "timm.layers.conv2d_same.Conv2dSame",
    "max_pool2d": "timm.layers.pool2d_same.MaxPool2dSame",
    "avg_pool2d": "timm.layers.pool2d_same.AvgPool2dSame",
}
_CLASSES: Mapping[str, str] = {
    "conv2d": "torch.nn.modules.conv.Conv2d",
    "batch_norm": "torch.nn.modules.batchnorm.BatchNorm2d",
    "linear": "torch.nn.modules.linear.Linear",
}


def _modules(
    graph: Graph, edits: Sequence[Replace], gone: set[str], stands: Mapping[str, tuple[Op, ...]]
) -> tuple[tuple[str, str], ...]:
    """The module tree after blocks' modules are replaced by templates; unchanged for layers in place."""
    blocks = {edit.module: edit for edit in edits if edit.template}
    if not blocks:
        return graph.modules
    alive = {path for op in graph.ops if op.name not in gone for path in around(op.module)}
    alive |= {op.module for edit in blocks.values() for op in stands[edit.ops[-1]]}
    known = {path for path, _ in graph.modules}
    tree: dict[str, str] = {}
    for path, cls in graph.modules:
        if path in blocks:
            added = stands[blocks[path].ops[-1]]
            tree[path] = blocks[path].template
            padded = {op.module for op in added if op.kind == "pad"}
            for op in added:
                if op.module not in known:
                    tree[op.module] = _SAME["conv2d"] if op.module in padded else _CLASSES.get(op.kind, "")
        elif path in alive or not any(outer in blocks for outer in around(path)):
            tree[path] = cls
    return tuple(tree.items())
