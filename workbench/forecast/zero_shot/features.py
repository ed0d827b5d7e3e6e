"""Scores from features: Zen, and AZ-NAS's expressivity, progressivity and trainability.

N, H, W   pictures, and the size of a block's map
C         its channels
e[b]      entropy of the principal components of block b's features, in nats
s[b]      spectral norm of the block's Jacobian, estimated from a drawn direction
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drawn import SEED
from .gradients import outputs_of

__all__ = ["az_nas", "zen"]

STEP = 1e-2  # of the noise that Zen adds


def zen(network: nn.Module, images: Tensor) -> float:
    """Log of the mean distance of features of x and x + 0.01 e, and of the deviations that norms divided by.

    x and e are Gaussian noise of the pictures' shape. nan for networks without batch norms, whose weights then decide.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return math.nan
    generator = torch.Generator().manual_seed(SEED)
    noise, step = (torch.randn(images.shape, generator=generator) for _ in range(2))
    deviations: list[Tensor] = []
    handles = [n.register_forward_pre_hook(lambda _, inputs: deviations.append(_deviation(inputs[0]))) for n in norms]
    features = getattr(network, "forward_features", network)
    try:
        with torch.no_grad():
            before = outputs_of(features(noise))
            scale = float(torch.stack(deviations).log().sum())
            after = outputs_of(features(noise + STEP * step))
    finally:
        for handle in handles:
            handle.remove()
    distance = float((before - after).abs().mean())
    return math.log(distance) + scale if distance > 0 else math.nan


def _deviation(inputs: Tensor) -> Tensor:
    """The root of the mean variance of the channels."""
    return (inputs.transpose(0, 1).flatten(1).var(1).mean() + 1e-12).sqrt()


def az_nas(network: nn.Module, images: Tensor, blocks: tuple[str, ...]) -> dict[str, float]:
    """expressivity, progressivity and trainability over the network's blocks; nan where it has none with maps."""
    features: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[object, ...], answer: object) -> None:
            if inputs and isinstance(inputs[0], Tensor) and isinstance(answer, Tensor) and answer.dim() in (3, 4):
                features[name] = (inputs[0], answer)

        return hook

    names = dict(network.named_modules())
    with _hooked(network, {name: keep(name) for name in blocks if name in names}):
        network(images.clone().requires_grad_(True))
    entropies = [_entropy(answer.detach()) for _, answer in features.values()]
    if not entropies:
        return dict.fromkeys(("expressivity", "progressivity", "trainability"), math.nan)
    rises = [after - before for before, after in pairwise(entropies)]
    generator = torch.Generator().manual_seed(SEED)
    gains = [_gain(inputs, answer, generator) for inputs, answer in features.values() if inputs.dim() == answer.dim()]
    steady = [-gain - 1 / (gain + 1e-6) + 2 for gain in gains]
    return {
        "expressivity": sum(entropies),
        "progressivity": min(rises, default=math.nan),
        "trainability": sum(steady) / len(steady) if steady else math.nan,
    }


def _by_channel(features: Tensor) -> Tensor:
    """[C, everything else], of maps [N, C, H, W] and of tokens [N, tokens, C]."""
    return features.movedim(1 if features.dim() == 4 else 2, 0).flatten(1)


def _entropy(answer: Tensor) -> float:
    """Of the normalised eigenvalues of the features' covariance (eq. 1 and 2)."""
    rows = _by_channel(answer).T.double()
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).clamp_min(0)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values / total
    return float(-(shares * (shares + 1e-12).log()).sum())


def _gain(inputs: Tensor, answer: Tensor, generator: torch.Generator) -> float:
    """Spectral norm of the Jacobian between channels, a drawn sign at every output pulled back (eq. 5 and 6)."""
    signs = torch.randint(0, 2, answer.shape, generator=generator).to(answer) * 2 - 1
    (pulled,) = torch.autograd.grad(answer, inputs, signs, retain_graph=True)
    if pulled.dim() == 4 and pulled.shape[2:] != signs.shape[2:]:
        factor = math.prod(pulled.shape[2:]) / math.prod(signs.shape[2:])
        pulled = F.adaptive_avg_pool2d(pulled, (signs.shape[2], signs.shape[3])) * factor
    left, right = _by_channel(pulled), _by_channel(signs)
    if left.shape[1] != right.shape[1]:  # tokens that a block merged: what comes back is not the same places
        return 1.0
    return float(torch.linalg.matrix_norm(left @ right.T / left.shape[1], ord=2))


@contextmanager
def _hooked(network: nn.Module, hooks: dict[str, Callable[..., None]]) -> Iterator[None]:
    handles = [network.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
