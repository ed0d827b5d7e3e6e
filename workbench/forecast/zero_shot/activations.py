"""NASWOT: how many regions of its activations a network puts different pictures into."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["naswot"]


@torch.no_grad()
def naswot(network: nn.Module, images: Tensor) -> float:
    """Log det K, K[i, j] the activations on whose sides of zero pictures i and j agree (Mellor et al. 2021, eq. 2)."""
    total = torch.zeros(len(images), len(images), dtype=torch.float64)

    def count(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sides = (inputs[0].flatten(1) > 0).double() if len(inputs[0]) == len(images) else None
        if sides is not None:
            total.add_(sides @ sides.T + (1 - sides) @ (1 - sides).T)

    with _before_activations(network, count):
        network(images)
    return float(torch.linalg.slogdet(total).logabsdet) if total.any() else float("nan")


@contextmanager
def _before_activations(network: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    """The hook sees what activations read; where a network calls them as functions, what norms made."""
    layers = [
        layer for layer in network.modules() if type(layer).__module__ in _ACTIVATIONS and not list(layer.children())
    ]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    if not layers:
        norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
        handles = [n.register_forward_hook(lambda layer, _, made: hook(layer, (made,))) for n in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations", "timm.layers.activations_me")
