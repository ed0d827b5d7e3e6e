"""What operators that reduce, move, cut and join dimensions do to the channels they read."""

from dataclasses import replace
from math import prod

from ..op import Op
from ..reshapes import split_axes
from .attention import add_value_part, tie_width
from .flow import ChannelFlow
from .spans import Span, SpanLayout, align

__all__ = ["concat", "pad", "permute", "reduce", "reflect_pad", "reshape", "slice_", "softmax", "var"]


# ---- reductions -------------------------------------------------------------------------------------------------


def reduce(flow: ChannelFlow, op: Op) -> None:
    """Channels that are not reduced stay; the axis moves up where dimensions before it go."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is None:
        return
    rank = len(flow.shape(op.inputs[0]))
    axes = [a % rank for a in op["axes"]]
    if layout.axis in axes:
        flow.forbid_padding(op.inputs[0], f"a {op.kind} runs over the channels ({op.module})")
        return
    flow.hand_on(op, layout.axis if op["keepdim"] else layout.axis - sum(a < layout.axis for a in axes))


def var(flow: ChannelFlow, op: Op) -> None:
    """As any reduction; variances of groups of one channel are zero, which another width would change."""
    layout, shape = flow.layouts.get(op.inputs[0]), flow.shape(op.inputs[0])
    if layout is not None and len(shape) > 4 and shape[layout.axis + 1] == 1:
        flow.freeze_inputs(op, "statistics of groups of one channel")
    else:
        reduce(flow, op)


def softmax(flow: ChannelFlow, op: Op) -> None:
    """The channels stay; a softmax over them is changed by zeros."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is not None and op["axis"] % len(op.shape) == layout.axis:
        flow.forbid_padding(op.inputs[0], f"a softmax runs over the channels ({op.module})")
    flow.hand_on(op)


# ---- order of the dimensions ------------------------------------------------------------------------------------


def reshape(flow: ChannelFlow, op: Op) -> None:
    """Channels merged with what stands behind them repeat; those split into equal parts are followed in parts."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is None:
        if any(merged and len(merged) > 1 for merged in op["dims"]):
            is_map = flow.class_of(op).endswith(".LambdaLayer") and len(op.shape) == 4
            tie_width(flow, op.module, op.shape[1 if is_map else -1])
        return
    shape = flow.shape(op.inputs[0])
    for axis, merged in enumerate(op["dims"]):
        if merged is None or layout.axis not in merged:
            continue
        others = [d for d in merged if shape[d] != 1 and d != layout.axis]
        if all(d > layout.axis for d in others):
            flow.hand_on(op, axis, prod(shape[d] for d in others))
            return
    axes = split_axes(op, shape, layout.axis)
    if axes is not None and layout.repeat == 1:
        flow.layouts[op.name] = replace(layout, axis=axes[0], inner=axes[1])
    else:
        flow.freeze_inputs(op, "a reshape splits or mixes the channels")


def permute(flow: ChannelFlow, op: Op) -> None:
    """The channels stand along another axis."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is not None:
        flow.hand_on(op, list(op["axes"]).index(layout.axis))


# ---- cutting and joining ----------------------------------------------------------------------------------------


def pad(flow: ChannelFlow, op: Op) -> None:
    """Channels that are padded stand between frozen ones."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is None:
        return
    before, after = op["pads"][layout.axis]
    if layout.repeat > 1 and (before or after):
        flow.freeze_inputs(op, "a pad widens repeated channels")
        return
    zeros = [Span(n, frozen=f"it is padding ({op.module})") for n in (before, after)]
    spans = [zeros[0]] * (before > 0) + layout.spans + [zeros[1]] * (after > 0)
    flow.layouts[op.name] = SpanLayout(layout.axis, spans, layout.repeat)


def reflect_pad(flow: ChannelFlow, op: Op) -> None:
    """Reflected channels cannot be followed."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is not None and any(op["pads"][layout.axis]):
        flow.freeze_inputs(op, "channels are reflected")
    else:
        flow.hand_on(op)


def concat(flow: ChannelFlow, op: Op) -> None:
    """Channels line up along the axis; where another axis is concatenated they become the same ones."""
    axis = op["axis"] % len(op.shape)
    parts = []
    for name in op.inputs:
        layout = flow.layouts.get(name)
        if layout is None and flow.shape(name)[axis] == 1:
            layout = SpanLayout(axis, [Span(1, frozen="a single map made by a reduction")])
        if layout is None:
            flow.freeze_inputs(op, "a concatenation reads channels that cannot be followed")
            return
        parts.append(layout)
    first = parts[0]
    agree = all(part.axis == first.axis and part.repeat == first.repeat for part in parts)
    if not agree or (first.axis == axis and first.repeat > 1):
        flow.freeze_inputs(op, "a concatenation lines up different channel axes")
    elif first.axis == axis:
        flow.layouts[op.name] = SpanLayout(axis, [span for part in parts for span in part.spans])
    else:
        for part in parts[1:]:
            align(first.spans, part.spans)
        flow.hand_on(op)


def slice_(flow: ChannelFlow, op: Op) -> None:
    """A slice of the channels cuts their spans at its borders."""
    layout = flow.layouts.get(op.inputs[0])
    if layout is None:
        return
    shape = flow.shape(op.inputs[0])
    axis = op["axis"] % len(shape)
    if axis != layout.axis:
        flow.hand_on(op)
        return
    if op["step"] != 1 or layout.repeat != 1:
        flow.freeze_inputs(op, "a strided slice takes channels apart")
        return
    flow.layouts[op.name] = SpanLayout(axis, _between(layout.leaves(), op["start"], min(op["stop"], shape[axis])))
    flow.add_part(op.inputs[0], flow.layouts[op.name])
    add_value_part(flow, op)


def _between(spans: list[Span], start: int, stop: int) -> list[Span]:
    """The spans from one channel to another, cut where these are inside a span."""
    inside, position = [], 0
    pending = list(spans)
    while pending:
        span = pending.pop(0)
        border = next((b for b in (start, stop) if position < b < position + span.width), None)
        if border is not None:
            span.cut(border - position)
            pending[:0] = span.leaves()
            continue
        if start <= position < stop:
            inside.append(span)
        position += span.width
    return inside
