"""Replace: a block's whole module, or one layer in its place."""

import copy

import torch
from torch import nn

from ..errors import SurgeryError
from ..graph import Graph, Replace
from .initialise import compose, embed, fit
from .layers import replace_module, set_parameter, set_widths

__all__ = ["replace"]

_EDGE = "timm.models._efficientnet_blocks.EdgeResidual"


def replace(
    model: nn.Module, graph: Graph, edit: Replace, after: Graph, reference: nn.Module, images: torch.Tensor | None
) -> None:
    """Carry the edit out on `model`, in place.

    reference: the model before the step this edit is part of, whose activations least squares aims at.
    images: calibration images [N, C, H, W]; None composes weights where least squares was asked for.
    """
    if edit.template == _EDGE:
        old = model.get_submodule(edit.module)
        new = _edge_residual(old, graph, edit)
        compose(old, new)
        replace_module(model, edit.module, new)
        if images is not None and edit.init == "least-squares":
            fit(model, reference, edit.module, images)
        return
    if edit.template:
        raise SurgeryError(f"{edit.module}: no way is known to build a {edit.template}")
    if len(edit.ops) != 1 or len(edit.new_ops) != 1 or edit.init != "embed":
        raise SurgeryError(f"{edit.ops[0]}: only one layer at a time can be exchanged in its place")
    op = after.by_name[edit.ops[0]]
    weight = op.param("weight")
    layer = model.get_submodule(op.module)
    assert weight is not None and isinstance(layer, nn.Conv2d)
    set_parameter(model, weight.name, embed(layer.weight, layer.groups))
    set_widths(model, op.module, op)


def _edge_residual(old: nn.Module, graph: Graph, edit: Replace) -> nn.Module:
    """timm's EdgeResidual around the parts of the inverted bottleneck that stay (types: timm's InvertedResidual)."""
    from timm.layers import create_conv2d
    from timm.models._efficientnet_blocks import EdgeResidual

    block: dict[str, nn.Module] = dict(old.named_children())
    missing = [n for n in ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3") if n not in block]
    if missing:
        raise SurgeryError(f"{edit.module} is a {type(old).__name__} without {missing[0]}, so it cannot be fused")
    dw, pw, project = block["conv_dw"], block["conv_pw"], block["conv_pwl"]
    assert isinstance(dw, nn.Conv2d) and isinstance(pw, nn.Conv2d) and isinstance(project, nn.Conv2d)
    stride, skip = dw.stride[0], bool(getattr(old, "has_skip", False))
    new = EdgeResidual(pw.in_channels, project.out_channels, dw.kernel_size[0], stride=stride, noskip=not skip)
    new.has_skip = skip
    same = type(dw).__name__ == "Conv2dSame"
    new.conv_exp = create_conv2d(
        pw.in_channels, dw.out_channels, dw.kernel_size[0], stride=stride, dilation=dw.dilation[0],
        padding="same" if same else dw.padding,
    )  # fmt: skip
    new.bn1, new.bn2 = copy.deepcopy(block["bn2"]), copy.deepcopy(block["bn3"])
    new.conv_pwl = copy.deepcopy(project)
    for name in ("se", "aa", "drop_path"):
        if name in block:
            setattr(new, name, copy.deepcopy(block[name]))
    new.to(device=pw.weight.device, dtype=pw.weight.dtype)
    return new.train(old.training)
