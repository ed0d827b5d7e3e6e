"""What a gate multiplied by on average, folded into a layer beside it.

    x   what the gate reads,   y = gate(x) x   what it makes,   per channel
    g = <x, y> / <x, x>        the constant nearest to the gate on the calibration images (least squares)

g goes into the columns of the one convolution behind, or into the batch norm right before; both are exact. Where
neither is there the gate leaves nothing behind.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..graph import Graph, Op, RemoveModule
from .activations import capture
from .modules import get_parameter

__all__ = ["fold_gate"]

_CHUNK = 8  # images at a time


def fold_gate(model: nn.Module, graph: Graph, edit: RemoveModule, images: Tensor) -> None:
    """Fold the mean of the gate that the edit takes out into a layer beside it, in place."""
    removed = set(edit.ops)
    source = next(i for name in edit.ops for i in graph.by_name[name].inputs if i not in removed)
    users = graph.consumers[edit.ops[-1]]
    before = graph.by_name[source]
    if len(users) == 1 and _scalable(model, users[0]):
        gain = _mean_gate(model, edit.module, images)
        layer: Any = model.get_submodule(users[0].module)
        share = layer.weight.shape[1]
        columns = torch.stack([gain[g * share : (g + 1) * share] for g in range(layer.groups)])
        layer.weight.mul_(columns.repeat_interleave(layer.out_channels // layer.groups, 0)[:, :, None, None])
    elif before.kind == "batch_norm" and all(user.name in removed for user in graph.consumers[source]):
        gain = _mean_gate(model, edit.module, images)
        for role in ("weight", "bias"):
            param = before.param(role)
            values = get_parameter(model, param.name) if param is not None else None
            if values is not None:
                values.mul_(gain)


def _scalable(model: nn.Module, op: Op) -> bool:
    """A convolution whose columns may be scaled: its own weights, not standardised."""
    return op.kind == "conv2d" and type(model.get_submodule(op.module)).__name__ in ("Conv2d", "Conv2dSame")


def _mean_gate(model: nn.Module, path: str, images: Tensor) -> Tensor:
    """The constant per channel nearest to the gate."""
    xy: Any = 0.0
    xx: Any = 0.0
    for part in images.split(_CHUNK):
        maps = capture(model, part, {"x": (path, "input"), "y": (path, "output")})
        xy = xy + (maps["x"].double() * maps["y"].double()).sum((0, 2, 3))
        xx = xx + maps["x"].double().square().sum((0, 2, 3))
    gain: Tensor = torch.where(xx > 0, xy / xx.clamp_min(torch.finfo(torch.float64).tiny), 1.0)
    return gain.to(next(model.parameters()))
