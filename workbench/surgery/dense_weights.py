"""Weights for fused blocks, in closed form.

    x       a block's input            P(x)   its KxK patches
    u       the old block's hidden pre-activation, bn2(dw(act(bn1(pw(x)))))
    f       the new block's hidden activation, squeeze-excite included
    y       the old block's output before the residual addition

Composition: W[c, i] = w[c] (g1 / sqrt(v1 + e)) pw[c, i], what the two convolutions do when the activation between
them is left out. Far off where the activation clips: often worse than predicting the mean. A norm without fixed
statistics counts as its gain g1 alone.

Least squares (see `least_squares.py`), two regressions over calibration images:

    stage 1   u(x~) on P(x~)         stage 2   y~ on f(x~)

x~ is what reaches the block in the network edited so far, x and y come from the reference network, and
y~ = y + x - x~ where a residual adds x~ again. So the hidden layer does what the old one would do with what it is
given, and the projection also mends the errors of the blocks before. Of the four combinations (either target from x
or from x~) this one had the lowest error behind nearly every block when 12 blocks of MobileNetV2 were fused.

Where the block keeps its code and only its dense layer is new, stage 1 is all there is, on that layer's own output, and
the ridge may draw towards the composed kernel: late maps have few pixels, and with little else to go by its directions
are good, its scale is not.

A solution W, b goes into a convolution and its batch norm such that training goes on from it: the kernel is W, the
norm's statistics are those of W x on the calibration images, its weight and bias undo them and add b. Without a batch
norm right behind, b is the convolution's bias.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .activations import capture
from .kernels import centred, patches
from .least_squares import Regression, Scaling

__all__ = ["Bottleneck", "affine", "compose", "composed", "fill", "fit", "regress"]

_CHUNK = 8  # images at a time, pairs of mirror images together
_ROWS = 24  # rows a feature are plenty; more of them only cost time
_HELD_OUT = 4  # every fourth image
_WIDEST = 5000  # elements of a patch: time grows with their cube, a minute for so many


@dataclass(frozen=True)
class Bottleneck:
    """Module paths of an inverted bottleneck's layers, and of the block itself."""

    block: str
    expand: str
    expand_norm: str
    dw: str
    dw_norm: str
    project: str
    project_norm: str


@torch.no_grad()
def compose(model: nn.Module, old: Bottleneck, new: Any) -> None:
    """Fill an EdgeResidual, its norms and projection copied already, by composing the old block's convolutions."""
    expand, norm, dw = (model.get_submodule(path) for path in (old.expand, old.expand_norm, old.dw))
    weight, shift = composed([expand], [norm], [dw])
    new.conv_exp.weight.copy_(weight)
    # inside the map, the shift of the first norm reaches the output as a constant: the new norm's mean takes it over
    new.bn1.running_mean.sub_(shift)


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
def fit(model: nn.Module, reference: nn.Module, old: Bottleneck, images: Tensor) -> None:
    """Fit the EdgeResidual at `old.block` of `model` to the block of `reference` (images [N, C, H, W])."""
    new: Any = model.get_submodule(old.block)
    parts = images.split(_CHUNK if len(images) > _CHUNK else 2)
    generator = torch.Generator().manual_seed(0)
    first, second = Regression(), Regression()
    inputs: list[Tensor] = []
    goals: list[Tensor] = []
    for i, (x, edited, hidden, y) in enumerate(_activations(model, reference, old, parts)):
        columns = patches(edited, new.conv_exp, new.conv_exp.kernel_size)
        rows = _sample(columns, len(x), len(images), generator)
        first.add(columns[rows], _rows(hidden)[rows], _held_out(i, parts))
        inputs.append(edited)
        goals.append(y + x - edited if new.has_skip else y)
    fill(new.conv_exp, new.bn1, first)
    features = nn.Sequential(new.conv_exp, new.bn1, new.se)
    for i, (x, goal) in enumerate(zip(inputs, goals, strict=True)):
        hidden = _rows(features(x))
        rows = _sample(hidden, len(x), len(images), generator)
        second.add(hidden[rows], _rows(goal)[rows], _held_out(i, parts))
    fill(new.conv_pwl, new.bn2, second)


@torch.no_grad()
def regress(
    model: nn.Module, reads: str, makes: str, pads: Sequence[int], conv: Any, norm: Any, near: Tensor, images: Tensor
) -> Regression | Scaling:
    """Regression of what the module at `makes` makes, `norm` (or None) behind it, on patches of what `reads` reads.

    conv: whose padding, stride and dilation cut the patches, of its kernel size, from maps padded by `pads` before
    (as torch has them, last dimension first). near: the composed kernel [C, I, kh, kw]; of the largest ones only the
    scales are fitted.
    """
    parts = images.split(_CHUNK if len(images) > _CHUNK else 2)
    generator = torch.Generator().manual_seed(0)
    kernel = near.flatten(1).T
    fitted = Regression(kernel) if len(kernel) <= _WIDEST else Scaling(kernel)
    gain, shift = affine(norm) if norm is not None else (1, 0)
    for i, part in enumerate(parts):
        maps = capture(model, part, {"x": (reads, "input"), "u": (makes, "output")})
        columns = patches(nn.functional.pad(maps["x"], list(pads)), conv, conv.kernel_size)
        rows = _sample(columns, len(part), len(images), generator)
        fitted.add(columns[rows], _rows(maps["u"])[rows] * gain + shift, _held_out(i, parts))
    return fitted


def _activations(
    model: nn.Module, reference: nn.Module, old: Bottleneck, parts: tuple[Tensor, ...]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """x, x~, u(x~) and y, a few images at a time."""
    gain, shift = affine(reference.get_submodule(old.dw_norm))
    block = reference.get_submodule(old.block)
    inside = old.dw_norm.removeprefix(old.block + ".")
    for part in parts:
        maps = capture(reference, part, {"x": (old.block, "input"), "y": (old.project_norm, "output")})
        edited = capture(model, part, {"x": (old.block, "input")})["x"]
        hidden = capture(block, edited, {"u": (inside, "input")})["u"]
        yield maps["x"], edited, hidden * gain[:, None, None] + shift[:, None, None], maps["y"]


def _held_out(part: int, parts: tuple[Tensor, ...]) -> bool:
    return len(parts) >= _HELD_OUT and part % _HELD_OUT == _HELD_OUT - 1


@torch.no_grad()
def fill(conv: nn.Conv2d, norm: Any, fitted: Regression | Scaling) -> None:
    """Convolution and batch norm as the solution, the norm with the true statistics of what it reads.

    norm: None leaves the intercepts to the convolution's own bias.
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
    """A norm in evaluation mode as gain and shift: with its statistics where they are fixed."""
    if getattr(norm, "running_var", None) is None:
        bias = getattr(norm, "bias", None)
        return norm.weight, torch.zeros_like(norm.weight) if bias is None else bias
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain


def _bias(conv: Any) -> Tensor:
    bias: Tensor | None = conv.bias
    return conv.weight.new_zeros(len(conv.weight)) if bias is None else bias


def _sample(table: Tensor, images: int, total: int, generator: torch.Generator) -> Tensor:
    """Indices of random rows of a table [rows, features] of so many of `total` images; `_ROWS` a feature from them all.

    Shares are equal: over all images so many rows are drawn for each feature, or all there are.
    """
    rows, features = table.shape
    share = _ROWS * features / (rows // images * total)
    if share >= 1:
        return torch.arange(rows, device=table.device)
    return torch.randperm(rows, generator=generator)[: max(1, round(rows * share))].to(table.device)


def _rows(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [N H W, C]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
