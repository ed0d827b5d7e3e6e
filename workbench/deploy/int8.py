"""A module as the integer TFLite file that is deployed, all of it in 8 bits or some of it in 16."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ..errors import InputError, unknown
from .file_layers import check_patterns, exported, layers_of, read_with
from .litert import float_file, quantised

__all__ = ["ACTIVATIONS", "Converted", "check_activations", "converted", "int8_file"]

ACTIVATIONS = ("int8", "int16")


@dataclass(frozen=True)
class Converted:
    """floats: the module's TFLite file as it was converted. data: the one that is deployed."""

    floats: bytes = field(repr=False)
    data: bytes = field(repr=False)


def int8_file(
    module: nn.Module, calibration: torch.Tensor, activations: str = "int8", int16_layers: Sequence[str] = ()
) -> bytes:
    """The file of a module in eval mode; see `converted`."""
    return converted(module, calibration, activations, int16_layers).data


def converted(
    module: nn.Module, calibration: torch.Tensor, activations: str = "int8", int16_layers: Sequence[str] = ()
) -> Converted:
    """The file of a module in eval mode, and the float one it was made of.

    calibration: images [N, C, H, W] as the module reads them; a hundred are enough. Takes seconds to tens of seconds.
    activations: "int8", or "int16" for all of them; weights are int8 in both. int16_layers: patterns of module paths
    ("blocks.1.*") whose outputs alone are held in 16 bits; what reads those outputs runs in 16 bits, too.

    Raises InputError for arguments that cannot be met, WorkbenchError where the extra `deploy` is not installed or the
    converter gives up.
    """
    check_activations(activations, int16_layers)
    graph = exported(module, calibration[:1]) if int16_layers else None
    if graph is not None:
        check_patterns(graph, int16_layers)
    floats = float_file(module, calibration[:1])
    wide = read_with(floats, layers_of(graph, floats), int16_layers) if graph is not None else ()
    return Converted(floats, quantised(floats, calibration, 16 if activations == "int16" else 8, wide))


def check_activations(activations: str, int16_layers: Sequence[str] = ()) -> None:
    """Raise InputError where no network can be converted with these."""
    if activations not in ACTIVATIONS:
        raise unknown("activations", activations, ACTIVATIONS)
    if isinstance(int16_layers, str) or any(not isinstance(p, str) for p in int16_layers):
        raise InputError(f"int16_layers is {int16_layers!r}; it must be a tuple of patterns such as ('blocks.1.*',)")
    if activations == "int16" and int16_layers:
        raise InputError(f"activations='int16' holds all of them in 16 bits; leave out int16_layers={int16_layers!r}")
