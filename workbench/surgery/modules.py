"""Modules and parameters of a network by path, and the widths layers hold as numbers."""

from inspect import signature
from typing import Any

from torch import Tensor, nn

from ..graph import Op

__all__ = [
    "get_parameter",
    "replace_module",
    "set_parameter",
    "set_widths",
    "takes_one_argument",
]


def get_parameter(model: nn.Module, name: str) -> Tensor | None:
    """The parameter or buffer of that state_dict key, None where there is none."""
    path, _, attribute = name.rpartition(".")
    try:
        owner = model.get_submodule(path)
    except AttributeError:
        return None
    parameter = owner._parameters.get(attribute)
    return parameter if parameter is not None else owner._buffers.get(attribute)


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
        outputs, inputs = weight.shape[0], weight.shape[1] * groups
        if isinstance(layer, nn.ConvTranspose2d):
            outputs, inputs = weight.shape[1] * groups, weight.shape[0]
        layer.out_channels, layer.in_channels, layer.groups = outputs, inputs, groups
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


def takes_one_argument(module: nn.Module) -> bool:
    """Whether the module's forward takes the feature map and nothing more."""
    return len(signature(module.forward).parameters) == 1
