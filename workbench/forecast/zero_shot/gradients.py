"""Scores from gradients: synflow, jacov, gradient norm, ZiCo.

W        the weights of convolutions and linear layers
N        pictures;  C  outputs
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["grad_norm", "jacov", "outputs_of", "synflow", "zico"]

BATCHES = 2  # ZiCo's deviation is over batches


def synflow(network: nn.Module, image: Tensor) -> float:
    """log10 of the sum of abs(w dL/dw) where every parameter is positive and L is the sum of the outputs for ones."""
    network = network.double().eval()  # products over a hundred layers leave float32
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = _weights(network)
    total = outputs_of(network(torch.ones_like(image, dtype=torch.float64))).sum()
    flows = _gradients(total, weights)
    return _log10(sum(float((w.detach() * flow).abs().sum()) for w, flow in zip(weights, flows, strict=True)))


def jacov(network: nn.Module, images: Tensor) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlations of the pictures' input gradients."""
    images = images.clone().requires_grad_(True)
    (jacobian,) = torch.autograd.grad(outputs_of(network(images)).sum(), images)
    rows = jacobian.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    values = torch.linalg.eigvalsh(rows @ rows.T) + 1e-5
    values = values.clamp_min(1e-5)
    return float(-(values.log() + 1 / values).sum())


def grad_norm(network: nn.Module, images: Tensor) -> float:
    """The norms of the loss gradients of all weights, summed."""
    return float(sum(flow.norm() for flow in _gradients(_loss(network, images), _weights(network))))


def zico(network: nn.Module, images: Tensor) -> float:
    """Sum over layers of log(sum over weights of mean abs gradient / deviation), over batches."""
    weights = _weights(network)
    parts = images.chunk(BATCHES)
    batches = [_gradients(_loss(network, part), weights) for part in parts]
    total = 0.0
    for flows in zip(*batches, strict=True):
        stacked = torch.stack([flow.flatten() for flow in flows]).double()
        deviation = stacked.std(0, correction=0)
        moves = deviation > 0
        if moves.any():
            total += _log(float((stacked.abs().mean(0)[moves] / deviation[moves]).sum()))
    return total


def outputs_of(answer: object) -> Tensor:
    """What a network answers as one tensor [N, ...]: a detector's maps or a dict's entries side by side."""
    if isinstance(answer, Tensor):
        return answer
    parts = answer.values() if isinstance(answer, dict) else answer
    tensors = [outputs_of(part).flatten(1) for part in parts]  # type: ignore[attr-defined]
    return torch.cat(tensors, 1)


def _loss(network: nn.Module, images: Tensor) -> Tensor:
    """Cross-entropy where the outputs are classes, with a class a picture in turn; else the mean square."""
    outputs = outputs_of(network(images))
    if outputs.dim() == 2:
        return F.cross_entropy(outputs, torch.arange(len(outputs)) % outputs.shape[1])
    return outputs.square().mean()


def _weights(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.dim() >= 2]


def _gradients(value: Tensor, weights: list[nn.Parameter]) -> list[Tensor]:
    flows = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if flow is None else flow.detach() for w, flow in zip(weights, flows, strict=True)]


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
