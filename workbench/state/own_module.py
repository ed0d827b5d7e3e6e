"""A copy of a module that its user brings, as a device would run it: weights at rest, in single precision."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..errors import InputError, first_line

__all__ = ["own_copy"]


def own_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode; the model itself is not touched.

    Weights that are computed from other parameters (torch's parametrizations, weight and spectral norm, the masks of
    `torch.nn.utils.prune`) become the parameters they amount to, as an edit has to change the values themselves.
    Floating-point weights of another precision become float32, from which every deployed format is made.
    Raises InputError for a module without values (on the meta device) and for one that cannot be copied.
    """
    for key, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise InputError(
                f"{key} of {type(model).__name__} is on the meta device, where weights have no values; create the "
                f"module on the CPU"
            )
    memo: dict[int, Any] = {}
    for module in model.modules():  # torch does not copy what is computed from parameters that learn
        computed = [value for value in vars(module).values() if isinstance(value, Tensor) and not value.is_leaf]
        memo |= {id(value): value.detach().clone() for value in computed}
    try:
        copied = copy.deepcopy(model, memo).eval()
    except Exception as error:  # whatever the module's own attributes raise
        raise InputError(f"{type(model).__name__} cannot be copied: {first_line(error)}") from error
    for module in copied.modules():
        _settle(module)
    return _in_single_precision(copied)


def _settle(module: nn.Module) -> None:
    """Put a parameter in the place of each weight of this module that is computed before every call."""
    if parametrize.is_parametrized(module):
        cls = type(module)  # made for the user's module, shared by its copy, and changed where a weight settles
        own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        module.__class__ = type(cls.__name__, cls.__bases__, own)
        parametrized: Any = module.parametrizations
        for name in list(parametrized):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)
        elif isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)


def _in_single_precision(module: nn.Module) -> nn.Module:
    tensors = (*module.parameters(), *module.buffers())
    other = any(tensor.is_floating_point() and tensor.dtype != torch.float32 for tensor in tensors)
    return module.float() if other else module
