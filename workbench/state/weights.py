"""Tensors by the names of a module's state_dict: read from files, held against a module, handed to estimators."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import FileFormatError, InputError, first_line, unknown
from ..hardware import Weights

__all__ = ["check_tensors", "check_weights", "read_weights", "tensors_of", "weights_of"]


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a module's state_dict (some modules keep other things in it, too)."""
    return {name: value for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}


def weights_of(tensors: Mapping[str, torch.Tensor]) -> Weights:
    """Name and shape -> float32 array; None where there is no tensor of that name and shape."""

    def weights(name: str, shape: tuple[int, ...]) -> Any:
        value = tensors.get(name)
        if value is None or tuple(value.shape) != tuple(shape):
            return None
        return value.detach().to("cpu", torch.float32).numpy()

    return weights


def read_weights(data: bytes, source: str, suffix: str = ".safetensors") -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; nothing else is read, because other formats can run code."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if suffix != ".safetensors":
        raise InputError(f"weights are read from .safetensors files only (others can run code), not from {source!r}")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FileFormatError(f"{source} is no whole safetensors file: {first_line(error)}") from None


def check_weights(module: nn.Module, state: Mapping[str, torch.Tensor], source: str, name: str) -> None:
    """Every key and shape must fit; the first that does not is named."""
    check_tensors(tensors_of(module), state, source, name)


def check_tensors(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], source: str, name: str) -> None:
    """Raise FileFormatError where the tensors of `source` are not, by name and shape, those of the network `name`."""
    for key in state:
        if key not in own:
            raise FileFormatError(f"{source} does not fit {name}: {unknown('weight', key, own)}")
    for key, value in own.items():
        if key not in state:
            raise FileFormatError(f"{source} does not fit {name}: {key!r} is missing")
        if state[key].shape != value.shape:
            raise FileFormatError(
                f"{source} does not fit {name}: {key!r} has shape {tuple(state[key].shape)}, where "
                f"{tuple(value.shape)} is needed"
            )
