"""Traced timm models the graph tests share: each is built and exported once."""

from functools import cache

import timm
import torch
from torch import nn

from workbench.graph import Graph
from workbench.graph.trace import trace

__all__ = ["lively", "traced"]


@cache
def lively(name: str) -> nn.Module:
    """The model in evaluation mode with random norms and scales: a fresh one has residual branches that are zero."""
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.1, 0.1)
            elif value.dim() < 2:
                value.uniform_(0.75, 1.25)
            elif key.endswith("weight"):
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return model


@cache
def traced(name: str, size: int) -> Graph:
    return trace(lively(name), (3, size, size))
