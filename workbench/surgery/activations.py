"""What modules inside a network read and make on images."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from ..graph.trace import evaluating

__all__ = ["capture", "observed"]


class _AllCaptured(Exception):
    """No error: it ends a forward pass early."""


@torch.no_grad()
def capture(model: nn.Module, images: Tensor, points: Mapping[str, tuple[str, str]]) -> dict[str, Tensor]:
    """Copies of what modules read ("input") or make ("output") on images [N, C, H, W].

    points: name -> (module path, "input" or "output"). The pass ends once all of them are captured; of a module that
    does not run nothing is. A module that runs several times keeps the last pass.

    >>> model = nn.Sequential(nn.Identity(), nn.ReLU())
    >>> capture(model, torch.tensor([[-1.0, 2.0]]), {"x": ("1", "input"), "y": ("1", "output")})
    {'x': tensor([[-1.,  2.]]), 'y': tensor([[0., 2.]])}
    """
    captured: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> None:
        captured[name] = value.clone()  # layers work in place
        if len(captured) == len(points):
            raise _AllCaptured

    with suppress(_AllCaptured), observed(model, points, keep), evaluating(model):
        model(images)
    return captured


@contextmanager
def observed(
    model: nn.Module, points: Mapping[str, tuple[str, str]], keep: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Within it, `keep(name, map)` is called at every pass with what the module of each point reads or makes.

    points: as for `capture`; of several tensors the first.
    """

    def hook(name: str, value: Any) -> None:
        keep(name, value[0] if isinstance(value, tuple) else value)

    hooks = []
    try:
        for name, (path, side) in points.items():
            module = model.get_submodule(path)
            if side == "input":
                hooks.append(module.register_forward_pre_hook(lambda _, args, name=name: hook(name, args)))
            else:
                hooks.append(module.register_forward_hook(lambda _, args, output, name=name: hook(name, output)))
        yield
    finally:
        for handle in hooks:
            handle.remove()
