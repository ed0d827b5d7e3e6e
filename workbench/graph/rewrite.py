"""(Graph, Plan) -> Graph: carries the primitive edits out on the graph, sharing what did not change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..errors import NotApplicable, WorkbenchError, unknown
from .channels import Channels, Layout, param_axes
from .compress import Schemes, check_scheme
from .ir import Graph, Op
from .padding import own_padding
from .plan import (
    Compress,
    Edit,
    ExchangeLayer,
    FuseLayers,
    Plan,
    RemoveModule,
    ReplaceBlock,
    Resize,
    SetInput,
    SetSpatial,
)
from .propagate import propagate
from .replace_edits import SAME_CLASSES, operator, replace_operators
from .shapes import taken_apart

__all__ = ["rewrite"]


def rewrite(graph: Graph, plan: Plan) -> Graph:
    """The graph after the plan's edits, in their order; raises before anything is made where one does not fit.

    Neighbouring Resize edits are carried out together, so two segments a constraint binds may change at once; so are
    SetSpatial edits: branches that meet change their maps at once. Edits that replace or remove operators are, too.
    """
    for rule, edits in groupby(plan.edits, lambda edit: _RULES[type(edit)]):
        neighbours = tuple(edits)
        edited = rule(graph, neighbours)
        if edited is not graph and graph.origin is not None:
            edited = replace(edited, origin=graph.origin.behind(neighbours))
        graph = edited
    return graph


# ---- SetInput and SetSpatial ------------------------------------------------------------------------------------

# Modules whose code refuses other image sizes or brings them to its own, which a graph does not show.
_FIXED = frozenset(
    (
        "timm.layers.patch_embed.PatchEmbed",
        "timm.layers.hybrid_embed.HybridEmbed",
        "timm.models.crossvit.PatchEmbed",
    )
)


def _set_input(graph: Graph, edits: Sequence[SetInput]) -> Graph:
    """By the rules for shapes; where they do not tell what another size does, by the network itself.

    Of several edits the last one counts.
    """
    edit, (only,) = edits[-1], graph.inputs
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
        op = changed.get(edit.op) or operator(graph, edit.op)
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
            same[op.module] = SAME_CLASSES[op.kind]
    modules = tuple((path, same.get(path, cls)) for path, cls in graph.modules) if same else graph.modules
    return propagate(Graph(graph.ops, graph.outputs, modules), changed)


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
        op = operator(graph, edit.op)
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


# ---- which edits are carried out by which rule; neighbours of one rule at once -------------------------------------

_RULES: Mapping[type[Edit], Callable[[Graph, Sequence[Any]], Graph]] = {
    Resize: _resize,
    ReplaceBlock: replace_operators,
    FuseLayers: replace_operators,
    ExchangeLayer: replace_operators,
    RemoveModule: replace_operators,
    SetSpatial: _set_spatial,
    SetInput: _set_input,
    Compress: _compress,
}
