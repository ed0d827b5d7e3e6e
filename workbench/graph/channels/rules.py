"""What every kind of operator does to the channels it reads: layers, norms, arithmetic, products, and the table.

A rule gives the operator's output its layout, merges and freezes spans, or does nothing, where the output's channels
cannot be followed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import lcm
from types import MappingProxyType

from ..kinds import ACTIVATIONS, ARITHMETIC, FUNCTIONS, POOLS_2D
from ..op import Op, is_computed
from .attention import tie_width
from .flow import ChannelFlow
from .layout_rules import concat, pad, permute, reduce, reflect_pad, reshape, slice_, softmax, var
from .spans import Span, SpanLayout, align

__all__ = ["RULES", "apply_rule"]

Rule = Callable[[ChannelFlow, Op], None]


def apply_rule(flow: ChannelFlow, op: Op) -> None:
    """Follow the channels through an operator none of whose inputs has its channels taken apart."""
    rule = RULES.get(op.kind)
    if rule is not None:
        rule(flow, op)
        return
    flow.freeze_inputs(op, f"no rule says what {op.kind} does to channels")
    if op.kind == "aten.im2col":  # outlook attention; the layer that unfolds is part of it
        tie_width(flow, op.module.rpartition(".")[0], flow.shape(op.inputs[0])[1])


def _input(flow: ChannelFlow, op: Op) -> None:
    if len(op.shape) > 1:
        axis = 3 if flow.graph.channels_last(op.name) else 1
        flow.layouts[op.name] = SpanLayout(axis, [Span(op.shape[axis], frozen="it is the network's input")])


def _param(flow: ChannelFlow, op: Op) -> None:
    """It takes the layout of what it is combined with."""


# ---- layers and norms -------------------------------------------------------------------------------------------


def _convolution(flow: ChannelFlow, op: Op) -> None:
    groups = op["groups"]
    layout = flow.layouts.get(op.inputs[0])
    if groups > 1 and layout is not None and op.is_depthwise:
        flow.hand_on(op, repeat=op.shape[1] // groups)
        return
    multiple = 1
    if "StdConv2d" in flow.class_of(op):
        reason = f"a layer standardises its weights over the channels it reads ({op.module})"
        flow.forbid_padding(op.inputs[0], reason)
    computed = _computes_weights(flow, op)
    if computed:
        flow.forbid_padding(op.inputs[0], computed)
    if groups > 1:
        leaves = layout.leaves() if layout else []
        if len(leaves) == 1 and layout is not None and layout.repeat == 1 and op.kind == "conv2d":
            multiple = groups
            leaves[0].multiple = lcm(leaves[0].multiple, groups)
        else:
            flow.freeze_inputs(op, "a grouped convolution reads several segments")
    flow.make(op, 1, op.shape[1], multiple)
    if computed:
        flow.forbid_padding(op.name, computed)
    if op.module.endswith(".sr"):  # spatial reduction, as PVT names it
        flow.freeze(op.name, f"attention takes its width from what it reads ({op.module})")
    if groups > 1 and multiple == 1:
        flow.freeze(op.name, f"a grouped convolution reads several segments ({op.module or op.name})")


def _computes_weights(flow: ChannelFlow, op: Op) -> str:
    """Why new weights may change the others: code that is not timm's computes all of them together. "" where not."""
    weight = op.param("weight")
    own = weight is not None and weight.computed and not flow.class_of(op).startswith("timm.")
    return f"a layer computes its weights, and new ones may change the others ({op.module or op.name})" if own else ""


def _conv1d(flow: ChannelFlow, op: Op) -> None:
    layout = flow.layouts.get(op.inputs[0])
    if layout is not None and layout.axis == 2 and op.shape[2] == flow.shape(op.inputs[0])[2]:
        flow.forbid_padding(op.inputs[0], f"a convolution runs across the channels ({op.module})")
        flow.hand_on(op)
    elif op["groups"] == 1:
        flow.make(op, 1, op.shape[1])
    else:
        flow.freeze_inputs(op, "no rule says what a grouped conv1d does to channels")


def _linear(flow: ChannelFlow, op: Op) -> None:
    layout = flow.layouts.get(op.inputs[0])
    if layout is not None and layout.axis != len(flow.shape(op.inputs[0])) - 1:
        flow.freeze_inputs(op, "a linear layer reads another axis than the channels")
    flow.make(op, len(op.shape) - 1, op.shape[-1])


def _layer_norm(flow: ChannelFlow, op: Op) -> None:
    flow.forbid_padding(op.inputs[0], f"a layer norm averages over the channels ({op.module})")
    flow.hand_on(op)


def _group_norm(flow: ChannelFlow, op: Op) -> None:
    flow.forbid_padding(op.inputs[0], f"a group norm averages over channels ({op.module})")
    leaves = flow.leaves(op.inputs[0])
    if op["groups"] > 1:
        if len(leaves) == 1:
            leaves[0].multiple = lcm(leaves[0].multiple, op["groups"])
        else:
            flow.freeze_inputs(op, "a group norm reads several segments")
    flow.hand_on(op)


# ---- elementwise ------------------------------------------------------------------------------------------------


def _hand_on(flow: ChannelFlow, op: Op) -> None:
    flow.hand_on(op)


def _arithmetic(flow: ChannelFlow, op: Op) -> None:
    """Channels that meet become the same ones; what is broadcast over them keeps its one channel."""
    layouts = [(name, layout) for name in op.inputs if (layout := flow.layouts.get(name)) is not None]
    if not layouts:
        return
    axes = [(layout.axis + len(op.shape) - len(flow.shape(name)), layout) for name, layout in layouts]
    axis, widest = max(axes, key=lambda pair: sum(span.width for span in pair[1].leaves()))
    size = op.shape[axis]
    for name in dict.fromkeys(op.inputs):
        shape = flow.shape(name)
        own_axis = axis - (len(op.shape) - len(shape))
        layout = flow.layouts.get(name)
        if size != 1 and (own_axis < 0 or shape[own_axis] == 1):  # broadcast over the channels
            if layout is not None and layout.axis == own_axis:
                flow.freeze_layout(layout, f"its one channel stands for all that it meets ({op.module or op.name})")
        elif layout is None:
            _meet_unfollowed(flow, op, name, own_axis, widest)
        elif layout is not widest:
            if layout.repeat != widest.repeat or layout.axis != own_axis:
                flow.freeze_inputs(op, f"{op.kind} lines up different channel axes")
                return
            align(widest.spans, layout.spans)
    flow.layouts[op.name] = SpanLayout(axis, widest.spans, widest.repeat)


def _meet_unfollowed(flow: ChannelFlow, op: Op, name: str, axis: int, layout: SpanLayout) -> None:
    """A tensor without a layout meets channels: a parameter takes theirs, anything else fixes them."""
    operand = flow.graph.by_name[name]
    if is_computed(operand):
        flow.freeze_layout(layout, f"a table computed in code is combined with it ({op.module})")
    elif operand.kind == "param":
        flow.layouts[name] = SpanLayout(axis, layout.spans, layout.repeat)
    else:
        flow.freeze_layout(layout, f"{op.kind} reads channels that cannot be followed ({op.module})")


# ---- products ---------------------------------------------------------------------------------------------------


def _matmul(flow: ChannelFlow, op: Op) -> None:
    """[.., M, K] by [.., K, N]: channels along M or N stay, those along K are summed over."""
    remaining: list[SpanLayout] = []
    for side, name in enumerate(op.inputs):
        layout, shape = flow.layouts.get(name), flow.shape(name)
        if layout is None:
            continue
        if layout.axis == len(shape) - 2 + side:
            remaining.append(replace(layout, axis=len(op.shape) - 2 + side))
        elif layout.axis < len(shape) - 2 and shape[layout.axis] == 1:
            flow.freeze(name, f"its one channel stands for all that it meets ({op.module or op.name})")
        else:  # summed over, or one matrix for each channel
            remaining.clear()
            break
    if len(remaining) == 1:
        flow.layouts[op.name] = remaining[0]
    else:
        flow.freeze_inputs(op, "a matrix product mixes the channels")


def _attention(flow: ChannelFlow, op: Op) -> None:
    flow.freeze_inputs(op, "a matrix product mixes the channels")


# Kinds that are not in the table freeze what they read, with that as the reason: avg_pool1d, expand, gru, lstm,
# rms_norm, rnn, roll.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "input": _input,
        "param": _param,
        "conv2d": _convolution,
        "conv_transpose2d": _convolution,
        "conv1d": _conv1d,
        "linear": _linear,
        "batch_norm": _hand_on,
        "layer_norm": _layer_norm,
        "group_norm": _group_norm,
        "instance_norm": _hand_on,
        **dict.fromkeys(ACTIVATIONS | FUNCTIONS | POOLS_2D, _hand_on),
        **dict.fromkeys(ARITHMETIC, _arithmetic),
        "mean": reduce,
        "sum": reduce,
        "amax": reduce,
        "amin": reduce,
        "norm": reduce,
        "var": var,
        "softmax": softmax,
        "log_softmax": softmax,
        "reshape": reshape,
        "permute": permute,
        "concat": concat,
        "slice": slice_,
        "pad": pad,
        "reflect_pad": reflect_pad,
        "resize": _hand_on,
        "matmul": _matmul,
        "attention": _attention,
    }
)
