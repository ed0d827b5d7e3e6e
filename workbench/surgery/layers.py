"""Reading and replacing parameters by name, the widths layers hold as numbers, and looking at activations."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from ..graph import Op
from ..graph.trace import evaluating

__all__ = [
    "capture",
    "get_parameter",
    "replace_module",
    "set_parameter",
    "set_widths",
    "takes_one",
]


def get_parameter(model: nn.Module, name: str) -> Tensor | None:
    """The parameter or buffer of that state_dict key, None where there is none."""
    path, _, attribute = name.rpartition(".")
    try:
        owner = model.get_submodule(path)
    except AttributeError:
        return None
    found = owner._parameters.get(attribute)
    return found if found is not None else owner._buffers.get(attribute)


def set_parameter(model: nn.Module, name: str, value: Tensor) -> None:
    """Put another tensor, of any shape, in the place of a parameter or buffer."""
    path, _, attribute = name.rpartition(".")
    owner = model.get_submodule(path)
    if attribute in owner._parameters:
        old = owner._parameters[attribute]
        grad = old.requires_grad if old is not None else True
        owner._parameters[attribute] = nn.Parameter(value.detach().clone().contiguous(), requires_grad=grad)
    else:
        owner._buffers[attribute] = value.detach().clone().contiguous()


def replace_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put `module` at `path`."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def set_widths(model: nn.Module, path: str, op: Op) -> None:
    """Bring the numbers a layer holds beside its tensors in line with the planned operator."""
    layer: Any = model.get_submodule(path)
    weight = op.param("weight")
    if isinstance(layer, nn.Conv2d | nn.Conv1d | nn.ConvTranspose2d) and weight is not None:
        groups = op["groups"]
        made, read = weight.shape[0], weight.shape[1] * groups
        if isinstance(layer, nn.ConvTranspose2d):
            made, read = weight.shape[1] * groups, weight.shape[0]
        layer.out_channels, layer.in_channels, layer.groups = made, read, groups
    elif isinstance(layer, nn.Linear) and weight is not None:
        layer.out_features, layer.in_features = weight.shape[0], weight.shape[1]
    elif isinstance(layer, nn.modules.batchnorm._BatchNorm) and op.params:
        layer.num_features = op.params[0].shape[0]
    elif isinstance(layer, nn.GroupNorm) and weight is not None:
        layer.num_channels = weight.shape[0]
    elif isinstance(layer, nn.LayerNorm) and weight is not None:
        layer.normalized_shape = tuple(weight.shape)
    elif isinstance(layer, nn.PReLU) and weight is not None:
        layer.num_parameters = weight.shape[0]


def takes_one(module: nn.Module) -> bool:
    """Whether the module's forward takes the feature map and nothing more."""
    return len(signature(module.forward).parameters) == 1


class _Reached(Exception):
    """No error: it ends a forward pass early."""


@torch.no_grad()
def capture(model: nn.Module, images: Tensor, wanted: Mapping[str, tuple[str, str]]) -> dict[str, Tensor]:
    """Copies of what modules read ("input") or make ("output") on images; the pass ends when all are there.

    wanted: name -> (module path, "input" or "output").
    """
    caught: dict[str, Tensor] = {}
    hooks = []

    def keep(name: str, value: Any) -> None:
        caught[name] = (value[0] if isinstance(value, tuple) else value).clone()  # layers work in place
        if len(caught) == len(wanted):
            raise _Reached

    try:
        for name, (path, side) in wanted.items():
            module = model.get_submodule(path)
            if side == "input":
                hooks.append(module.register_forward_pre_hook(lambda _, args, name=name: keep(name, args)))
            else:
                hooks.append(module.register_forward_hook(lambda _, args, made, name=name: keep(name, made)))
        with evaluating(model):
            model(images)
    except _Reached:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return caught
