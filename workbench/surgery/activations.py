"""What modules inside a network read and make on images."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..graph.trace import evaluating

__all__ = ["capture"]


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
    hooks = []

    def keep(name: str, value: Any) -> None:
        captured[name] = (value[0] if isinstance(value, tuple) else value).clone()  # layers work in place
        if len(captured) == len(points):
            raise _AllCaptured

    try:
        for name, (path, side) in points.items():
            module = model.get_submodule(path)
            if side == "input":
                hooks.append(module.register_forward_pre_hook(lambda _, args, name=name: keep(name, args)))
            else:
                hooks.append(module.register_forward_hook(lambda _, args, output, name=name: keep(name, output)))
        with evaluating(model):
            model(images)
    except _AllCaptured:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return captured
