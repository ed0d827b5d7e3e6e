"""Batch norms after narrowing: their statistics follow what now reaches them.

    m0, v0   mean and variance of a norm's input before the edit, on calibration images, for the channels that stay
    m1, v1   the same behind the edit
    m, v     the norm's running statistics

A layer that reads fewer channels makes other values. The norm is corrected by the change, not set to what was
measured, so that a network whose statistics are not those of the calibration images keeps its function:

    m' = m1 - r (m0 - m)     v' + e = r^2 (v + e)     with r^2 = (v1 + e) / (v0 + e)

Behind the norm every channel then has the mean and variance it had before. Norms are corrected in the order in which
they run, so each sees the corrected ones before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..graph.trace import evaluating

__all__ = ["correct_statistics", "estimate_statistics"]

_CHUNK = 32  # images at a time


@dataclass
class _Moments:
    count: float = 0.0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, x: Tensor) -> "_Moments":
        """Add a batch; gives back the moments of that batch alone."""
        flat = x.detach().double().transpose(0, 1).flatten(1)
        batch = _Moments(flat.shape[1], flat.sum(1), flat.square().sum(1))
        self.count += batch.count
        self.total, self.squares = self.total.to(flat) + batch.total, self.squares.to(flat) + batch.squares
        return batch

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def var(self) -> Tensor:
        return (self.squares / self.count - self.mean.square()).clamp_min(0)


@torch.no_grad()
def correct_statistics(
    before: nn.Module, after: nn.Module, kept: Mapping[str, Sequence[int | None]], images: Tensor
) -> None:
    """Correct the statistics of `after`, in place.

    kept: path of a batch norm -> for each of its channels the channel it was in `before`, None for a new one.
    images: [N, C, H, W].
    """
    old: dict[str, _Moments] = {path: _Moments() for path in kept}
    new: dict[str, _Moments] = {path: _Moments() for path in kept}
    start = {path: _statistics(after, path) for path in kept}
    batch: dict[str, _Moments] = {}
    hooks = []
    for path in kept:

        def measure(_: nn.Module, args: tuple[Tensor, ...], path: str = path) -> None:
            batch[path] = old[path].add(args[0])

        def follow(norm: nn.Module, args: tuple[Tensor, ...], path: str = path) -> None:
            # within a pass a norm follows the batch at hand, as the norms before it already do
            _set(norm, start[path], batch[path], new[path].add(args[0]), kept[path])

        hooks.append(before.get_submodule(path).register_forward_pre_hook(measure))
        hooks.append(after.get_submodule(path).register_forward_pre_hook(follow))
    try:
        with evaluating(before, after):
            for part in images.split(_CHUNK):
                before(part)
                after(part)
    finally:
        for hook in hooks:
            hook.remove()
    for path in kept:
        if new[path].count > 1:
            _set(after.get_submodule(path), start[path], old[path], new[path], kept[path])


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Tensor) -> None:
    """Set the statistics of all batch norms, in place, to those of what they read on images [N, C, H, W].

    Each norm reads what those before it make with the statistics of the batch at hand, 32 images, as in training; means
    and variances are averaged over batches (Yu and Huang 2019, Universally slimmable networks, section 3.3).
    """
    norms: list[Any] = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    like = next(model.parameters(), images)
    with evaluating(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the average over all batches
            norm.train()
        for part in images.split(_CHUNK):
            model(part.to(like))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _statistics(model: nn.Module, path: str) -> tuple[Tensor, Tensor]:
    norm: Any = model.get_submodule(path)
    return norm.running_mean.clone(), norm.running_var.clone()


def _set(norm: Any, start: tuple[Tensor, Tensor], old: _Moments, new: _Moments, kept: Sequence[int | None]) -> None:
    stays = torch.tensor([i is not None for i in kept], device=start[0].device)
    source = torch.tensor([0 if i is None else i for i in kept], device=start[0].device)
    mean, var = (s.double() for s in start)
    ratio = (new.var + norm.eps) / (old.var[source] + norm.eps)
    moved = new.mean - ratio.sqrt() * (old.mean[source] - mean)
    scaled = ratio * (var + norm.eps) - norm.eps
    norm.running_mean.copy_(torch.where(stays, moved, mean))
    norm.running_var.copy_(torch.where(stays, scaled.clamp_min(0), var))
