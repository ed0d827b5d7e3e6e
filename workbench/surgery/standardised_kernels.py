"""Kernels of convolutions that standardise their weights.

Over the N weights of an output channel (Qiao et al. 2019; with a gain g and s = gamma / sqrt(N): Brock et al. 2021),

    kernel = a (w - mean),   a = g s / sqrt(variance + eps),   or a = 1 / sqrt(variance + eps) without a gain

Where the new deviations from the mean are v, N' of them, and s' = gamma / sqrt(N'), another gain keeps a as it was,

    g' = a sqrt(variance(v) + eps) / s'

so that the old deviations in the middle of zeros make the old kernel in the middle of zeros. Without a gain only the
direction of v counts; its length is left to a norm behind (a group norm knows one length for the group).
"""

from typing import Any

import torch
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

from .kernels import centred, fit_kernel
from .modules import set_parameter

__all__ = ["set_kernel", "standardises"]


def standardises(layer: nn.Module) -> bool:
    """Whether it is one of timm's convolutions with standardised weights."""
    return isinstance(layer, StdConv2d | StdConv2dSame | ScaledStdConv2d | ScaledStdConv2dSame)


@torch.no_grad()
def set_kernel(model: nn.Module, path: str, kernel: tuple[int, int], images: Tensor | None) -> None:
    """Give the convolution at `path` a kernel of that size.

    A larger one does the same where there is a gain. A smaller one is the best of mean 0 on images, without them the
    middle of the old one less its mean.
    """
    layer: Any = model.get_submodule(path)
    old = layer.weight.double()
    deviations = old - _mean(old)
    new = centred(deviations, kernel)
    new -= _mean(new)
    gained = hasattr(layer, "gain")
    factor = (layer.gain.double() * layer.scale if gained else 1) / (_mean(deviations**2) + layer.eps).sqrt()
    if images is not None:
        fitted = fit_kernel(model, path, kernel, images, mean_zero=True).double()
        new = torch.where(factor == 0, new, fitted / factor)
    set_parameter(model, f"{path}.weight", new.to(layer.weight))
    if gained:
        layer.scale *= (old[0].numel() / new[0].numel()) ** 0.5
        gain = factor * (_mean(new**2) + layer.eps).sqrt() / layer.scale
        set_parameter(model, f"{path}.gain", gain.to(layer.gain))


def _mean(weight: Tensor) -> Tensor:
    return weight.mean((1, 2, 3), keepdim=True)
