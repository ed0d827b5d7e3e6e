"""Resize edits on the graph: other widths of channel segments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import NotApplicable, unknown
from .channels import ChannelLayout, Channels
from .graph import Graph
from .op import Op
from .param_axes import param_axes
from .plan import Resize
from .propagate import propagate
from .reshapes import split_axes

__all__ = ["resize"]


def resize(graph: Graph, edits: Sequence[Resize]) -> Graph:
    """The graph with all new widths at once; NotApplicable where a segment or a constraint between them forbids one."""
    channels = graph.channels
    widths = _widths(channels, edits)
    resized = {name for name, width in widths.items() if width != channels.segments[name].width}
    if not resized:
        return graph
    tensors = {name for name, layout in channels.layout.items() if resized.intersection(layout.segments)}
    changed = {}
    for op in graph.ops:
        if op.name in tensors or any(name in tensors for name in op.inputs):
            changed[op.name] = _resized(graph, op, channels, widths)
    return propagate(graph, changed, maps=False)


def _widths(channels: Channels, edits: Sequence[Resize]) -> Mapping[str, int]:
    """The width of every segment after the edits, which are checked."""
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
    return widths


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
        op = _split(op, graph.by_name[op.inputs[0]].shape, layout, widths)
    elif op.kind == "param" and params:
        op = replace(op, shape=params[0].shape)
    return replace(op, params=params)


def _split(op: Op, read: tuple[int, ...], layout: ChannelLayout, widths: Mapping[str, int]) -> Op:
    """A reshape that splits the channels into equal parts keeps the number of parts."""
    axes = split_axes(op, read, layout.axis)
    if axes is None:
        return op
    parts, inner = axes
    shape = list(op.shape)
    shape[inner] = sum(widths[name] for name in layout.segments) // shape[parts]
    return replace(op, shape=tuple(shape))


def _borders(op: Op, segments: Sequence[str], channels: Channels, widths: Mapping[str, int]) -> dict[str, int]:
    """Where a slice starts and stops at the new widths."""
    start = stop = end = 0  # end: of the segment, at its old width
    for name in segments:
        end += channels.segments[name].width
        if end <= op["start"]:
            start += widths[name]
        if end <= op["stop"]:
            stop += widths[name]
    return {"start": start, "stop": stop}
