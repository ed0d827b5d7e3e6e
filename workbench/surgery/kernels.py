"""Weights of a convolution whose kernel changes.

Embedding: a depthwise kernel w[c] is the dense kernel W[c, c] = w[c], all else 0; a small kernel in the middle of a
larger one, zeros around, does the same. Exact.

Least squares: with P the patches a group reads under the new kernel, u what the layer made before (its bias left out),

    w = (P'P + r s I)^-1 P'u,   s = mean square of a patch's element, r = 1e-6

over positions of the calibration images, for each group by itself; a depthwise layer has as many as channels. The best
kernel of mean 0 is, with G the matrix in the brackets and 1 a vector of ones,

    w - G^-1 1 (1'w) / (1' G^-1 1)
"""

from typing import Any

import torch
from timm.layers import pad_same
from torch import Tensor, nn

from .activations import capture
from .modules import get_parameter

__all__ = ["centred", "embed", "fit_kernel", "patches"]

_CHUNK = 4  # images at a time
_ROWS = 64  # positions a weight, and no fewer than so many: more of them only cost time
_FEWEST_ROWS = 8192
_RIDGE = 1e-6


def patches(x: Tensor, conv: Any, kernel: tuple[int, int]) -> Tensor:
    """[N, C, H, W] -> [N H' W', C kh kw], the rows the convolution multiplies a kernel of that size with."""
    padding = _padding(conv)
    if type(conv).__name__.endswith("Same") and not any(padding):
        x, padding = pad_same(x, list(kernel), list(conv.stride), list(conv.dilation)), 0
    else:
        less = [d * (k - n) // 2 for d, k, n in zip(conv.dilation, conv.kernel_size, kernel, strict=True)]
        padding = [p - n for p, n in zip(padding, less, strict=True)]
    columns = nn.functional.unfold(x, kernel, conv.dilation, padding, conv.stride)
    return columns.transpose(1, 2).flatten(0, 1)


def _padding(conv: Any) -> Any:
    """(rows, columns) on each side; a padding in words is that of a stride of 1 and an odd kernel."""
    if not isinstance(conv.padding, str):
        return conv.padding
    if conv.padding == "valid":
        return 0, 0
    return tuple(d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))


def embed(weight: Tensor, groups: int) -> Tensor:
    """The dense kernel [O, I, kh, kw] that does what the depthwise one [O, 1, kh, kw] in `groups` groups does."""
    outputs = weight.shape[0]
    dense = weight.new_zeros(outputs, groups, *weight.shape[2:])
    rows = torch.arange(outputs, device=weight.device)
    dense[rows, rows // (outputs // groups)] = weight.detach()[:, 0]
    return dense


def centred(weight: Tensor, kernel: tuple[int, int]) -> Tensor:
    """The middle of a kernel [.., kh, kw], or the kernel in the middle of zeros.

    >>> centred(torch.arange(25.0).reshape(1, 1, 5, 5), (1, 3)).tolist()
    [[[[11.0, 12.0, 13.0]]]]
    """
    less = [(old - new) // 2 for old, new in zip(weight.shape[2:], kernel, strict=True)]
    return nn.functional.pad(weight.detach(), (-less[1], -less[1], -less[0], -less[0]))


@torch.no_grad()
def fit_kernel(model: nn.Module, path: str, kernel: tuple[int, int], images: Tensor, mean_zero: bool = False) -> Tensor:
    """The kernel [O, I / groups, kh, kw] of that size nearest to what the convolution at `path` makes on images.

    mean_zero: among those whose weights have mean 0 in every output channel.
    """
    layer: Any = model.get_submodule(path)
    weight = get_parameter(model, f"{path}.weight")
    assert weight is not None
    groups, outputs, inputs = layer.groups, weight.shape[0], weight.shape[1]
    taps = inputs * kernel[0] * kernel[1]
    generator = torch.Generator().manual_seed(0)
    gram = torch.zeros(groups, taps, taps, dtype=torch.float64, device=weight.device)
    cross = torch.zeros(groups, taps, outputs // groups, dtype=torch.float64, device=weight.device)
    for part in images.split(_CHUNK):
        maps = capture(model, part, {"x": (path, "input"), "u": (path, "output")})
        u = maps["u"] if layer.bias is None else maps["u"] - layer.bias[:, None, None]
        positions = u.shape[0] * u.shape[2] * u.shape[3]
        count = -(-max(_ROWS * taps, _FEWEST_ROWS) * len(part) // len(images))
        rows = torch.randperm(positions, generator=generator)[:count].to(u.device)
        x = patches(maps["x"], layer, kernel)[rows].double().reshape(len(rows), groups, taps).transpose(0, 1)
        y = u.permute(0, 2, 3, 1).flatten(0, 2)[rows].double().reshape(len(rows), groups, -1).transpose(0, 1)
        gram += x.mT @ x
        cross += x.mT @ y
    scale = gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(torch.finfo(gram.dtype).tiny)
    gram += _RIDGE * scale[:, None, None] * torch.eye(taps, dtype=gram.dtype, device=gram.device)
    solved = torch.linalg.solve(gram, cross)  # [groups, taps, outputs of a group]
    if mean_zero:
        lift = torch.linalg.solve(gram, torch.ones_like(cross[:, :, :1]))
        solved -= lift * solved.sum(1, keepdim=True) / lift.sum(1, keepdim=True)
    return solved.mT.reshape(outputs, inputs, *kernel).to(weight)
