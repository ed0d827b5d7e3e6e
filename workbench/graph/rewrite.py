"""(Graph, Plan) -> Graph: carries the primitive edits out on the graph, sharing what did not change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ..errors import NotApplicable, WorkbenchError, unknown
from .channels import Channels, Layout, param_axes
from .compress import Schemes, check_scheme
from .ir import Graph, Op
from .padding import own_padding
from .paths import around
from .plan import Compress, Edit, Plan, Replace, Resize, SetInput, SetSpatial
from .propagate import propagate
from .shapes import taken_apart

__all__ = ["rewrite"]


def rewrite(graph: Graph, plan: Plan) -> Graph:
    """The graph after the plan's edits, in their order; raises before anything is made where one does not fit.

    Neighbouring Resize edits are carried out together, so two segments a constraint binds may change at once; so are
    SetSpatial edits: branches that meet change their maps at once.
    """
    for _, edits in groupby(plan.edits, type):
        some = tuple(edits)
        edited = _rewritten(graph, some)
        if edited is not graph and graph.origin is not None:
            edited = replace(edited, origin=graph.origin.behind(some))
        graph = edited
    return graph


def _rewritten(graph: Graph, edits: Sequence[Edit]) -> Graph:
    """The graph after edits of one kind."""
    match edits[0]:
        case Resize():
            return _resize(graph, [e for e in edits if isinstance(e, Resize)])
        case Replace():
            return _replace(graph, [e for e in edits if isinstance(e, Replace)])
        case SetSpatial():
            return _set_spatial(graph, [e for e in edits if isinstance(e, SetSpatial)])
        case Compress():
            return _compress(graph, [e for e in edits if isinstance(e, Compress)])
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
            there = graph.origin.trace_at(edit.shape)
        except WorkbenchError as refused:
            raise NotApplicable(f"{error}, and the network does not run on images of {size}") from refused
        try:
            return rewrite(there, graph.origin.plan)
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
        elif padding is not None and own_padding(before, op):
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


# ---- Resize -----------------------------------------------------------------------------------------------------


def _resize(graph: Graph, edits: Sequence[Resize]) -> Graph:
    channels = graph.channels
    widths = {name: segment.width for name, segment in channels.segments.items()}
    for edit in edits:
        if edit.segment not in widths:
            raise unknown("channel segment", edit.segment, widths)
        segment = channels.segments[edit.segment]
        if segment.frozen:
            raise NotApplicable(f"{segment.name} keeps its {segment.width} channels: {segment.frozen}")
        if edit.width < 1 or edit.width % segment.multiple:
            near = max(segment.multiple, round(edit.width / segment.multiple) * segment.multiple)
            raise NotApplicable(
                f"{segment.name} cannot have {edit.width} channels: multiples of {segment.multiple} only, "
                f"the nearest is {near}"
            )
        widths[edit.segment] = edit.width
    for parts in channels.equal:
        if len({widths[name] for name in parts}) > 1:
            raise NotApplicable(
                f"{', '.join(parts)} are cut as equal parts of one tensor and cannot have "
                f"{', '.join(str(widths[name]) for name in parts)} channels: one width for all of them"
            )
    moved = {name for name, width in widths.items() if width != channels.segments[name].width}
    if not moved:
        return graph
    touched = {name for name, layout in channels.layout.items() if moved.intersection(layout.segments)}
    changed = {}
    for op in graph.ops:
        if op.name in touched or any(name in touched for name in op.inputs):
            changed[op.name] = _resized(graph, op, channels, widths)
    return propagate(graph, changed, maps=False)


def _resized(graph: Graph, op: Op, channels: Channels, widths: Mapping[str, int]) -> Op:
    """The operator with its parameters, groups and slice borders at the new widths (its shape comes later)."""
    shapes = {p: list(p.shape) for p in op.params}
    for axis in param_axes(graph, op):
        width = sum(widths[name] for name in axis.segments) * axis.repeat
        shapes[axis.param][axis.axis] = width // axis.groups
    params = tuple(replace(p, shape=tuple(shape)) for p, shape in shapes.items())
    layout = channels.layout.get(op.inputs[0]) if op.inputs else None
    if layout is not None and op.is_depthwise:
        op = op.with_attrs(groups=sum(widths[name] for name in layout.segments) * layout.repeat)
    elif op.kind == "slice" and layout is not None and op["axis"] % len(op.shape) == layout.axis:
        op = op.with_attrs(**_borders(op, layout.segments, channels, widths))
    elif op.kind == "reshape" and layout is not None:
        op = _parted(op, graph.by_name[op.inputs[0]].shape, layout, widths)
    elif op.kind == "param" and params:
        op = replace(op, shape=params[0].shape)
    return replace(op, params=params)


def _parted(op: Op, read: tuple[int, ...], layout: Layout, widths: Mapping[str, int]) -> Op:
    """A reshape that takes the channels apart keeps the number of parts."""
    apart = taken_apart(op, read, layout.axis)
    if apart is None:
        return op
    parts, inner = apart
    shape = list(op.shape)
    shape[inner] = sum(widths[name] for name in layout.segments) // shape[parts]
    return replace(op, shape=tuple(shape))


def _borders(op: Op, segments: Sequence[str], channels: Channels, widths: Mapping[str, int]) -> dict[str, int]:
    start = stop = old = 0
    for name in segments:
        width = channels.segments[name].width
        if old + width <= op["start"]:
            start += widths[name]
        if old + width <= op["stop"]:
            stop += widths[name]
        old += width
    return {"start": start, "stop": stop}


# ---- Compress ---------------------------------------------------------------------------------------------------


def _compress(graph: Graph, edits: Sequence[Compress]) -> Graph:
    """The schemes behind those the operators already have, on whatever reads the same weights; no shape changes."""
    schemes: dict[str, Schemes] = {}
    for edit in edits:
        op = _op(graph, edit.op)
        check_scheme(edit.scheme)
        weight = op.param("weight")
        if weight is None or len(weight.shape) < 2:
            raise NotApplicable(f"{op.module or op.name}: a {op.kind} has no weight matrix that could be compressed")
        if weight.computed:
            raise NotApplicable(
                f"{op.module or op.name}: its weight is computed from its parameters, which would undo a compression"
            )
        known = schemes.get(weight.name, op.get("compress", ()))
        schemes[weight.name] = known if known[-1:] == (edit.scheme,) else (*known, edit.scheme)

    def edited(op: Op) -> Op:
        weight = op.param("weight")
        mine = schemes.get(weight.name) if weight is not None else None
        return op if mine is None or mine == op.get("compress") else op.with_attrs(compress=mine)

    return Graph(tuple(edited(op) for op in graph.ops), graph.outputs, graph.modules)


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
