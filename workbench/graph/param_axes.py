"""Which axes of an operator's parameters count channels."""

from dataclasses import dataclass

from .graph import Graph
from .kinds import LAYERS
from .op import Op, Param

__all__ = ["ParamAxis", "param_axes"]


@dataclass(frozen=True)
class ParamAxis:
    """One axis of one parameter and the channels along it.

    side: "out" where the axis counts channels the operator makes (or scales one by one), "in" where it sums
    over channels it reads. groups: > 1 where the axis holds the input channels of one group only.
    """

    param: Param
    axis: int
    side: str
    segments: tuple[str, ...]
    repeat: int = 1
    groups: int = 1


def param_axes(graph: Graph, op: Op) -> tuple[ParamAxis, ...]:
    """Every parameter axis of `op` that counts channels; surgery and rewriting both resize along these.

    An axis whose channels cannot be followed (behind attention, say) is left out: its segments are frozen.
    """
    layout = graph.channels.layout
    output = layout.get(op.name)
    read = layout.get(op.inputs[0]) if op.inputs else None
    axes: list[ParamAxis] = []
    for param in op.params:
        if op.kind == "param":
            if output is not None:
                axes.append(ParamAxis(param, output.axis, "out", output.segments, output.repeat))
        elif op.kind in LAYERS:
            if op.kind == "conv1d" and (output is None or output.axis != 1):
                continue  # runs across the channels, as ECA does: its kernel does not count them
            out_axis, in_axis = (1, 0) if op.kind == "conv_transpose2d" and param.role == "weight" else (0, 1)
            if output is not None:
                axes.append(ParamAxis(param, out_axis, "out", output.segments, output.repeat))
            if param.role == "weight" and read is not None and not op.is_depthwise:
                axes.append(ParamAxis(param, in_axis, "in", read.segments, read.repeat, op.get("groups", 1)))
        elif op.kind == "prelu" and param.shape[0] == 1:
            continue  # one slope for all channels
        elif param.shape and output is not None:  # norms, PReLU
            axes.append(ParamAxis(param, 0, "out", output.segments, output.repeat))
    return tuple(axes)
