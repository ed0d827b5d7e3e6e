"""Weights of a dense convolution in the place of an expansion and its depthwise convolution, in closed form.

    P(x)    [rows, I kh kw]   the patches that the dense convolution reads, of maps x
    u       [rows, C]         what the depthwise convolution made, with the batch norm behind it, if any

Composition: W[c, i] = w[c] (g1 / sqrt(v1 + e)) pw[c, i], what the two convolutions do when the activation between
them is left out. Far off where the activation clips: often worse than predicting the mean. A norm without fixed
statistics counts as its gain g1 alone.

Least squares (see `least_squares.py`): the regression of u on P(x) over calibration images. The ridge may draw towards
the composed kernel: late maps have few pixels, and with few rows its directions are good, its scale is not.

A solution W, b goes into a convolution and its batch norm such that training goes on from it: the kernel is W, the
norm's statistics are those of W x on the calibration images, its weight and bias undo them and add b. Without a batch
norm right behind, b is the convolution's bias.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .activations import capture
from .kernels import centred, patches
from .least_squares import Regression, Scaling

__all__ = ["affine", "as_rows", "batches", "composed", "fill", "is_held_out", "regress", "sample"]

_CHUNK = 8  # images at a time, pairs of mirror images together
_ROWS = 24  # rows a feature are plenty; more of them only cost time
_HELD_OUT = 4  # every fourth image
_WIDEST = 5000  # elements of a patch: time grows with their cube, a minute for so many


@torch.no_grad()
def composed(points: Sequence[Any], norms: Sequence[Any], kernels: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Weight [C, I, kh, kw] and bias [C] of the dense convolution that does what these layers do one after the other.

    points: 1x1 convolutions, grouped or not, of several each on the next slice of the input; norms: what follows them;
    kernels: depthwise convolutions, of several each on the next slice, their kernels in the middle of the largest. The
    bias holds inside the map; at its border the depthwise convolution read zeros.
    """
    wide = torch.block_diag(*(part for conv in points for part in conv.weight[:, :, 0, 0].chunk(conv.groups)))
    shift = torch.cat([_bias(conv) for conv in points])
    for norm in norms:
        gain, offset = affine(norm)
        wide, shift = wide * gain[:, None], shift * gain + offset
    largest = max(conv.kernel_size for conv in kernels)
    kernel = torch.cat([centred(conv.weight, largest)[:, 0] for conv in kernels])
    bias = kernel.sum((1, 2)) * shift + torch.cat([_bias(conv) for conv in kernels])
    return torch.einsum("chw,ci->cihw", kernel, wide), bias


@torch.no_grad()
def regress(
    model: nn.Module, reads: str, makes: str, pads: Sequence[int], conv: Any, norm: Any, near: Tensor, images: Tensor
) -> Regression | Scaling:
    """Regression of what the module at `makes` makes, `norm` (or None) behind it, on patches of what `reads` reads.

    conv: whose padding, stride and dilation cut the patches, of its kernel size, from maps padded by `pads` before
    (as torch has them, last dimension first). near: the composed kernel [C, I, kh, kw]; of the largest ones only the
    scales are fitted.
    """
    parts = batches(images)
    generator = torch.Generator().manual_seed(0)
    kernel = near.flatten(1).T
    fitted = Regression(kernel) if len(kernel) <= _WIDEST else Scaling(kernel)
    gain, shift = affine(norm) if norm is not None else (1, 0)
    for i, part in enumerate(parts):
        maps = capture(model, part, {"x": (reads, "input"), "u": (makes, "output")})
        columns = patches(nn.functional.pad(maps["x"], list(pads)), conv, conv.kernel_size)
        rows = sample(columns, len(part), len(images), generator)
        fitted.add(columns[rows], as_rows(maps["u"])[rows] * gain + shift, is_held_out(i, parts))
    return fitted


def batches(images: Tensor) -> tuple[Tensor, ...]:
    """Images that follow one another, an image and its mirror image always together."""
    return images.split(_CHUNK if len(images) > _CHUNK else 2)


def is_held_out(part: int, parts: tuple[Tensor, ...]) -> bool:
    """Whether the batch of that number judges the ridge: every fourth, of four and more."""
    return len(parts) >= _HELD_OUT and part % _HELD_OUT == _HELD_OUT - 1


@torch.no_grad()
def fill(conv: nn.Conv2d, norm: Any, fitted: Regression | Scaling) -> None:
    """Write the solution into a convolution and its batch norm; the norm gets the statistics of what it then reads.

    norm: None where there is none; the convolution's own bias takes the intercepts.
    """
    weight, bias = fitted.solve()
    conv.weight.copy_(weight.T.reshape(conv.weight.shape))
    if norm is None:
        assert conv.bias is not None
        conv.bias.copy_(bias)
        return
    if conv.bias is not None:
        conv.bias.zero_()
    mean, var = fitted.moments(weight)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_((var + norm.eps).sqrt())
    norm.bias.copy_(mean + bias)


def affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Gain and shift, [C] each, of a norm in evaluation mode; without fixed statistics its weight and bias alone."""
    if getattr(norm, "running_var", None) is None:
        bias = getattr(norm, "bias", None)
        return norm.weight, torch.zeros_like(norm.weight) if bias is None else bias
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain


def _bias(conv: Any) -> Tensor:
    bias: Tensor | None = conv.bias
    return conv.weight.new_zeros(len(conv.weight)) if bias is None else bias


def sample(table: Tensor, images: int, total: int, generator: torch.Generator) -> Tensor:
    """Indices of random rows of a table [rows, features] that holds `images` of all `total` images.

    Each image gives its share of 24 rows a feature; all rows where there are no more.
    """
    rows, features = table.shape
    share = _ROWS * features / (rows // images * total)
    if share >= 1:
        return torch.arange(rows, device=table.device)
    return torch.randperm(rows, generator=generator)[: max(1, round(rows * share))].to(table.device)


def as_rows(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [N H W, C]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
