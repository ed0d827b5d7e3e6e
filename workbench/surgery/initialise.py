"""Weights for replaced layers, in closed form.

    x       a block's input            P(x)   its KxK patches, with a constant 1
    u       the old block's hidden pre-activation: bn2(dw(act(bn1(pw(x)))))
    f       the new block's hidden activation, squeeze-excite included
    y       the old block's output before the residual addition

Embedding: a depthwise kernel w[c] is the dense kernel W[c, c] = w[c], all else 0. Exact.

Composition: W[c, i] = w[c] (g1 / sqrt(v1 + e)) pw[c, i]: what the two convolutions do when the activation between
them is left out. Far off where the activation clips (relative error near 1).

Least squares, two normal equations in float64, streamed over images:

    stage 1   (A + r I) W = sum P(x~)' u,    A = sum P(x~)' P(x~)
    stage 2   (B + r I) V = sum f' y~,       B = sum f' f

with ridge r = 1e-6 of the mean diagonal. x~ is what reaches the block in the network edited so far, u and y come
from the original network, and y~ = y + x - x~ where a residual adds x~ again: so each block also mends the errors
of those before it, which gave the lower error on every late block; fitting every block on the original
activations leaves them to add up.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["compose", "embed", "fit"]

_RIDGE = 1e-6
_CHUNK = 4  # images at a time


def embed(weight: Tensor, groups: int) -> Tensor:
    """The dense kernel [O, I, kh, kw] that does what the depthwise one [O, 1, kh, kw] in `groups` groups does."""
    made = weight.shape[0]
    dense = weight.new_zeros(made, groups, *weight.shape[2:])
    rows = torch.arange(made, device=weight.device)
    dense[rows, rows // (made // groups)] = weight.detach()[:, 0]
    return dense


@torch.no_grad()
def compose(old: Any, new: Any) -> None:
    """Fill a fused block by composing the expansion and the depthwise kernel of the block it replaces.

    old: timm's InvertedResidual, new: EdgeResidual with its batch norms already copied.
    """
    gain, shift = _affine(old.bn1)
    kernel = old.conv_dw.weight[:, 0]
    expand = old.conv_pw.weight[:, :, 0, 0] * gain[:, None]
    new.conv_exp.weight.copy_(torch.einsum("chw,ci->cihw", kernel, expand))
    # inside the map, the shift of bn1 reaches the output as a constant: the new norm's mean takes it over
    new.bn1.running_mean.sub_(kernel.sum((1, 2)) * shift)


@torch.no_grad()
def fit(model: nn.Module, reference: nn.Module, path: str, images: Tensor) -> None:
    """Fit the fused block at `path` of `model` to the block at the same path of `reference` (images [N, C, H, W])."""
    old, new = copy.deepcopy(reference.get_submodule(path)).eval(), model.get_submodule(path)
    training = new.training
    new.eval()
    if not hasattr(old, "conv_dw"):
        return  # fused in an earlier step already
    pairs = list(_inputs(reference, model, path, images))
    _fit_expansion(old, new, pairs)
    _fit_projection(old, new, pairs)
    new.train(training)


def _fit_expansion(old: Any, new: Any, pairs: list[tuple[Tensor, Tensor]]) -> None:
    conv, sums = new.conv_exp, _Normal()
    for x, edited in pairs:
        sums.add(_patches(edited, conv), _rows(_hidden(old, x)))
    weight, bias = sums.solve()
    conv.weight.copy_(weight.T.reshape(conv.weight.shape))
    _set_norm(new.bn1, *sums.moments(weight), bias)


def _fit_projection(old: Any, new: Any, pairs: list[tuple[Tensor, Tensor]]) -> None:
    sums = _Normal()
    for x, edited in pairs:
        target = _projected(old, _activated(old, _hidden(old, x)))
        if new.has_skip:
            target = target + x - edited
        f = new.se(new.aa(new.bn1(new.conv_exp(edited))))
        sums.add(_rows(f), _rows(target))
    weight, bias = sums.solve()
    new.conv_pwl.weight.copy_(weight.T[:, :, None, None])
    _set_norm(new.bn2, *sums.moments(weight), bias)


class _Normal:
    """Normal equations of targets on features with an intercept, accumulated in float64."""

    def __init__(self) -> None:
        self.gram: Tensor | float = 0.0
        self.cross: Tensor | float = 0.0

    def add(self, features: Tensor, targets: Tensor) -> None:
        rows = torch.cat([features, torch.ones_like(features[:, :1])], 1).double()
        self.gram = self.gram + rows.T @ rows
        self.cross = self.cross + rows.T @ targets.double()

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weights [features, targets] and intercepts [targets]."""
        assert isinstance(self.gram, Tensor) and isinstance(self.cross, Tensor)
        ridge = _RIDGE * self.gram.diagonal().mean() * torch.eye(len(self.gram), dtype=torch.float64)
        ridge[-1, -1] = 0.0  # the intercept is free
        found = torch.linalg.solve(self.gram + ridge.to(self.gram), self.cross)
        return found[:-1], found[-1]

    def moments(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of features @ weight over everything added."""
        assert isinstance(self.gram, Tensor)
        count = self.gram[-1, -1]
        mean = self.gram[-1, :-1] / count
        spread = self.gram[:-1, :-1] / count - torch.outer(mean, mean)
        return mean @ weight, (weight * (spread @ weight)).sum(0).clamp_min(0)


def _set_norm(norm: nn.Module, mean: Tensor, var: Tensor, bias: Tensor) -> None:
    """Make a batch norm add `bias` and nothing else, with the true statistics of what it reads (train() agrees)."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_((var + norm.eps).sqrt())
    norm.bias.copy_(mean + bias)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """A batch norm in eval mode as gain and shift."""
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain


def _hidden(old: Any, x: Tensor) -> Tensor:
    gain, shift = _affine(old.bn2)
    return old.conv_dw(old.bn1(old.conv_pw(x))) * gain[:, None, None] + shift[:, None, None]


def _activated(old: Any, hidden: Tensor) -> Tensor:
    return old.se(old.bn2.act(hidden))


def _projected(old: Any, features: Tensor) -> Tensor:
    return old.bn3(old.conv_pwl(features))


def _rows(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [N H W, C]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _patches(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """[N, C, H, W] -> [N H' W', C kh kw], the rows a convolution multiplies its kernel with."""
    if type(conv).__name__ == "Conv2dSame":
        from timm.layers import pad_same

        x, padding = pad_same(x, conv.kernel_size, conv.stride, conv.dilation), 0
    else:
        padding = conv.padding
    columns = F.unfold(x, conv.kernel_size, conv.dilation, padding, conv.stride)
    return columns.transpose(1, 2).flatten(0, 1)


class _Reached(Exception):  # noqa: N818 (not an error: it ends a forward pass early)
    pass


def _inputs(reference: nn.Module, model: nn.Module, path: str, images: Tensor) -> Any:
    """Pairs of what reaches the block in both networks, a few images at a time."""
    for part in images.split(_CHUNK):
        yield _input_of(reference, path, part), _input_of(model, path, part)


def _input_of(model: nn.Module, path: str, images: Tensor) -> Tensor:
    caught: list[Tensor] = []

    def stop(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught.append(inputs[0])
        raise _Reached

    training = model.training
    hook = model.get_submodule(path).register_forward_pre_hook(stop)
    try:
        model.eval()(images)
    except _Reached:
        pass
    finally:
        hook.remove()
        model.train(training)
    return caught[0]
