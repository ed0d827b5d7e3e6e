"""ReplaceBlock: a module of another class in the place of a block's."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import SurgeryError
from ..graph import Graph, ReplaceBlock
from ..graph.paths import is_inside
from .dense_weights import Bottleneck, compose, fit
from .modules import replace_module
from .site import Site

__all__ = ["replace_block"]


def replace_block(site: Site, edit: ReplaceBlock) -> None:
    """Carry the edit out: build a module of the new class, fill its weights, put it in the place of the block."""
    if edit.module_class not in _BUILDERS:
        raise SurgeryError(f"{edit.module}: no way is known to build a {edit.module_class}")
    _BUILDERS[edit.module_class](site, edit)


# ---- EdgeResidual ---------------------------------------------------------------------------------------------------


def _replace_by_edge_residual(site: Site, edit: ReplaceBlock) -> None:
    old = _bottleneck(site.graph, edit)
    new = _edge_residual(site.model, site.graph, edit, old)
    compose(site.model, old, new)
    replace_module(site.model, edit.module, new)
    if site.images is not None and edit.init == "least-squares":
        fit(site.model, site.reference, old, site.images)


def _bottleneck(graph: Graph, edit: ReplaceBlock) -> Bottleneck:
    old = [graph.by_name[name] for name in edit.ops]
    ops = [op for op in old if not is_inside(op.module, f"{edit.module}.se")]
    convs = [op.module for op in ops if op.kind == "conv2d"]
    norms = [op.module for op in ops if op.kind == "batch_norm"]
    if len(convs) != 3 or len(norms) != 3:
        raise SurgeryError(
            f"{edit.module} has {len(convs)} convolutions and {len(norms)} norms; fusing needs three each"
        )
    (expand, dw, project), (expand_norm, dw_norm, project_norm) = convs, norms
    return Bottleneck(edit.module, expand, expand_norm, dw, dw_norm, project, project_norm)


def _edge_residual(model: nn.Module, graph: Graph, edit: ReplaceBlock, old: Bottleneck) -> nn.Module:
    """An EdgeResidual around copies of what stays: second norm, squeeze-excite, projection, last norm."""
    from timm.layers import create_conv2d
    from timm.models._efficientnet_blocks import EdgeResidual

    dw: Any = model.get_submodule(old.dw)
    expand: Any = model.get_submodule(old.expand)
    project: Any = model.get_submodule(old.project)
    block = model.get_submodule(edit.module)
    last = graph.by_name[edit.ops[-1]].name
    skip = any(op.kind == "add" and op.module == edit.module for op in graph.consumers[last])
    same = type(dw).__name__ == "Conv2dSame"
    shape = {"stride": dw.stride, "dilation": dw.dilation, "padding": "same" if same else dw.padding}
    with torch.random.fork_rng(devices=[]):  # every weight is overwritten: the caller's random numbers stay as they are
        new: Any = EdgeResidual(expand.in_channels, project.out_channels, dw.kernel_size[0], noskip=not skip)
        new.conv_exp = create_conv2d(expand.in_channels, dw.out_channels, dw.kernel_size[0], **shape)
    new.has_skip = skip
    new.bn1 = _norm_act(model, graph, edit, old)
    new.bn2 = copy.deepcopy(model.get_submodule(old.project_norm))
    new.conv_pwl = copy.deepcopy(project)
    for name in ("se", "drop_path"):
        part = getattr(block, name, None)
        setattr(new, name, copy.deepcopy(part) if isinstance(part, nn.Module) else nn.Identity())
    new.to(device=dw.weight.device, dtype=dw.weight.dtype)
    new.conv_exp.weight.requires_grad_(dw.weight.requires_grad)
    return new.train(block.training)


def _norm_act(model: nn.Module, graph: Graph, edit: ReplaceBlock, old: Bottleneck) -> nn.Module:
    """The depthwise convolution's norm with its activation inside, as EdgeResidual wants it."""
    from timm.layers import BatchNormAct2d

    norm: Any = copy.deepcopy(model.get_submodule(old.dw_norm))
    name = next(op.name for op in graph.ops if op.module == old.dw_norm and op.kind == "batch_norm")
    act = graph.consumers[name][0]
    if act.module == f"{old.dw_norm}.act":
        return norm
    if act.module in (edit.module, old.dw_norm):
        raise SurgeryError(f"{edit.module}: its {act.kind} is no module that could be moved into a fused block")
    new: Any = BatchNormAct2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    new.load_state_dict({k: v for k, v in norm.state_dict().items() if k in new.state_dict()})
    new.act = copy.deepcopy(model.get_submodule(act.module))
    return new


# ---- class of the new module -> what puts it in the place of the block ----------------------------------------------

_BUILDERS: Mapping[str, Callable[[Site, ReplaceBlock], None]] = {
    "timm.models._efficientnet_blocks.EdgeResidual": _replace_by_edge_residual,
}
