"""A copy of a module with weights drawn anew, the same ones for the same architecture."""

import copy

import torch
from torch import nn

__all__ = ["SEED", "drawn_anew"]

SEED = 0


def drawn_anew(module: nn.Module) -> nn.Module:
    """The module in training mode with He's weights, zero biases, and norms that change nothing.

    Scales of residual branches that begin at zero (timm's `zero_init_last`, layer scale) would hide the branch from
    every score: norms begin at one, any other parameter keeps its mean magnitude, 1 where it is below 1e-2.
    """
    network = copy.deepcopy(module).cpu().float().train()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for layer in network.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                _draw(layer, name, parameter, generator)
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.reset_running_stats()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for layer in network.modules():  # what is drawn at every pass would make scores differ from call to call
        if isinstance(layer, nn.modules.dropout._DropoutNd) or type(layer).__name__ == "DropPath":
            layer.eval()
    return network


def _draw(layer: nn.Module, name: str, parameter: nn.Parameter, generator: torch.Generator) -> None:
    if name == "bias":
        parameter.zero_()
    elif parameter.dim() >= 2:
        inputs = parameter[0].numel()
        parameter.normal_(0, (2 / inputs) ** 0.5, generator=generator)
    elif name == "weight" or parameter.abs().mean() < 1e-2:
        parameter.fill_(1.0)
