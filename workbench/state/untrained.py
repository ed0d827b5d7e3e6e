"""Whether a module's weights are still those it was created with."""

import torch
from torch import Tensor, nn

__all__ = ["is_untrained"]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
_LEAST = 200  # values of a weight; fewer say nothing about how they were drawn
_NEAR = 0.1  # how far the largest and the mean square of values drawn evenly may be from what is expected


@torch.no_grad()
def is_untrained(model: nn.Module) -> bool:
    """Whether nothing was learned: every norm is as created, or, without norms, layers hold what torch draws for them.

    A norm is created with a scale of one (zero at the end of some branches), a shift of zero and statistics of zero and
    one, and the first step of training moves them. torch draws the weights of a layer evenly from -1/sqrt(n) to
    1/sqrt(n), n the values that make one output (He et al., 2015, with a slope of sqrt(5)).
    False for modules without norms and layers, and where weights were drawn otherwise or set: they may mean something.

    >>> layers = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    >>> untrained = is_untrained(layers)
    >>> _ = layers(torch.rand(2, 3, 8, 8))  # in training mode
    >>> untrained, is_untrained(layers)
    (True, False)
    """
    norms = [state for module in model.modules() if isinstance(module, _NORMS) and (state := module.state_dict())]
    if norms:
        return all(_is_created(state) for state in norms)
    layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
    weights = [module.weight for module in layers if module.weight.numel() >= _LEAST]
    return bool(weights) and all(_is_drawn(weight) for weight in weights)


def _is_created(norm: dict[str, Tensor]) -> bool:
    """Whether a norm has seen nothing."""
    values = {"weight": (0.0, 1.0), "bias": (0.0,), "running_mean": (0.0,), "running_var": (1.0,)}
    return all(
        any(bool((tensor == value).all()) for value in values.get(name, (0.0,))) for name, tensor in norm.items()
    )


def _is_drawn(weight: Tensor) -> bool:
    """Whether values look like torch's own: none beyond the bound, and as large as that many drawn evenly are."""
    bound = weight[0].numel() ** -0.5
    largest, square = float(weight.abs().max()), float(weight.square().mean())
    return bound * (1 - _NEAR) <= largest <= bound * (1 + 1e-6) and abs(square * 3 / bound**2 - 1) <= 4 * _NEAR
