"""Channels that a reshape has taken apart into equal parts: [.., parts, .., channels of a part, ..].

Statistics of each part want whole parts; what joins the parts makes them the same channels.
"""

from dataclasses import replace
from math import lcm

from ..kinds import ACTIVATIONS, ARITHMETIC, FUNCTIONS, REDUCTIONS
from ..op import Op
from .flow import ChannelFlow
from .spans import SpanLayout, align, equal_parts

__all__ = ["follow_parts"]

_ELEMENTWISE = ACTIVATIONS | FUNCTIONS | {"batch_norm", "expand"}
_PER_PART = REDUCTIONS | ARITHMETIC | {"slice", "permute"}  # would see each part for itself


def follow_parts(flow: ChannelFlow, op: Op) -> bool:
    """Follow channels in parts through an operator that reads some.

    False where it cannot be done: no input has its channels in parts any longer (all parts are the same channels now,
    or they are frozen and lost), and the rules for whole channels apply.
    """
    apart = [name for name in op.inputs if _is_apart(flow, name)]
    if not apart:
        return False
    layout = flow.layouts[apart[0]]
    if _hand_on(flow, op, layout):
        return True
    for name in apart:
        if op.kind in _PER_PART:
            _unite(flow, name)
        else:
            flow.freeze(name, f"a reshape splits or mixes the channels ({op.module or op.name})")
            del flow.layouts[name]
    return False


def _is_apart(flow: ChannelFlow, tensor: str) -> bool:
    layout = flow.layouts.get(tensor)
    return layout is not None and layout.inner is not None


def _hand_on(flow: ChannelFlow, op: Op, layout: SpanLayout) -> bool:
    """Whether the output has its channels followed, in parts still or as one axis again."""
    if op.kind in _ELEMENTWISE:
        flow.hand_on(op)
        return True
    if op.kind == "reshape":
        return _join(flow, op, layout)
    if op.kind == "permute":
        return _permute(flow, op, layout)
    if op.kind in ARITHMETIC:
        return _meet(flow, op, layout)
    rank = len(flow.shape(op.inputs[0]))
    if op.kind == "softmax" and op["axis"] % rank != layout.inner:
        flow.hand_on(op)
        return True
    if op.kind in REDUCTIONS:
        axes = {a % rank for a in op["axes"]}
        if layout.inner in axes and layout.axis not in axes and op["keepdim"]:
            _keep_whole_parts(flow, op, layout)
            return True
    return False


def _keep_whole_parts(flow: ChannelFlow, op: Op, layout: SpanLayout) -> None:
    """Statistics of each part: the parts stay of one width, and are not widened with zeros."""
    parts = flow.shape(op.inputs[0])[layout.axis]
    flow.forbid_padding(op.inputs[0], f"a {op.kind} runs over groups of channels ({op.module})")
    leaves = layout.leaves()
    if len(leaves) == 1:
        leaves[0].multiple = lcm(leaves[0].multiple, parts)
    else:
        flow.freeze_inputs(op, f"a {op.kind} over groups reads several segments")
    flow.hand_on(op)


def _join(flow: ChannelFlow, op: Op, layout: SpanLayout) -> bool:
    """Parts and channels of a part become one axis again."""
    shape = flow.shape(op.inputs[0])
    for axis, merged in enumerate(op["dims"]):
        both = merged and layout.axis in merged and layout.inner in merged
        if both and all(shape[d] == 1 for d in merged if d not in (layout.axis, layout.inner)):
            flow.layouts[op.name] = replace(layout, axis=axis, inner=None)
            return True
    return False


def _permute(flow: ChannelFlow, op: Op, layout: SpanLayout) -> bool:
    """Parts before their channels still, nothing in between."""
    axes = list(op["axes"])
    parts, inner = axes.index(layout.axis), axes.index(layout.inner)
    if parts > inner or any(op.shape[d] != 1 for d in range(parts + 1, inner)):
        return False
    flow.layouts[op.name] = replace(layout, axis=parts, inner=inner)
    return True


def _meet(flow: ChannelFlow, op: Op, layout: SpanLayout) -> bool:
    """All in the same parts, or one value for all of them."""
    layouts = [flow.layouts.get(name) for name in op.inputs]
    alike = [o for o in layouts if o is not None and (o.axis, o.inner) == (layout.axis, layout.inner)]
    shapes = [flow.shape(name) for name, o in zip(op.inputs, layouts, strict=True) if o not in alike]
    if any(len(shape) != len(op.shape) or shape[layout.axis] * shape[layout.inner or 0] != 1 for shape in shapes):
        return False
    if any(o is not None for o in layouts if o not in alike):
        return False
    for other in alike[1:]:
        align(layout.spans, other.spans)
    flow.layouts[op.name] = layout
    return True


def _unite(flow: ChannelFlow, tensor: str) -> None:
    """Make all parts the same channels, along the axis inside a part."""
    layout = flow.layouts[tensor]
    assert layout.inner is not None
    flow.layouts[tensor] = SpanLayout(layout.inner, equal_parts(layout.spans, flow.shape(tensor)[layout.axis]))
