"""Attention whose code takes its widths from numbers of its own, which the graph does not show."""

from ..op import Op
from ..paths import is_inside
from .flow import ChannelFlow

__all__ = ["add_value_part", "tie_width"]

# Attention whose code holds its inner width as a number of its own; others take what they read.
_KNOW_THEIR_WIDTH = (
    "timm.layers.attention.",
    "timm.models.levit.",
    "timm.models.efficientformer.",
    "timm.models.tiny_vit.",
)

# Attention whose code holds one number for the width of values, of all heads, and of the part it attends to.
_ONE_VALUE_WIDTH = ("timm.models.shvit.SHSA", "timm.models.efficientvit_msra.CascadedGroupAttention")


def tie_width(flow: ChannelFlow, module: str, width: int) -> None:
    """Attention that has as many channels inside as its module reads takes that number from its input."""
    graph = flow.graph
    if not module or module not in graph.classes:
        return
    if graph.classes[module].startswith(_KNOW_THEIR_WIDTH):
        return
    inside = {o.name for o in graph.ops if is_inside(o.module, module)}
    for name in {i for o in graph.ops if o.name in inside for i in o.inputs if i not in inside}:
        layout = flow.layouts.get(name)
        if layout and sum(span.width for span in layout.leaves()) == width and graph.by_name[name].kind != "param":
            flow.freeze_layout(layout, f"attention has as many channels inside as it reads ({module})")


def add_value_part(flow: ChannelFlow, op: Op) -> None:
    """A slice that holds the values of such attention, or the part it attends to, has one width with its others."""
    if flow.class_of(op) not in _ONE_VALUE_WIDTH:
        return
    slices = [o for o in flow.graph.consumers[op.inputs[0]] if o.kind == "slice"]
    holds_values = len(slices) == 3  # queries, keys, values
    is_last = op["stop"] >= flow.shape(op.inputs[0])[op["axis"]]
    if (holds_values and is_last) or (not holds_values and op["start"] == 0):
        flow.add_part(op.module, flow.layouts[op.name])
