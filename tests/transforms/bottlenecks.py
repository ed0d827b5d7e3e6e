"""Small inverted bottlenecks whose forward code is given: what may be fused in place, and what may not."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workbench.graph import Graph
from workbench.graph.trace import trace

__all__ = ["Bottleneck", "Sliced", "network", "plain"]


class Bottleneck(nn.Module):
    """5 -> 12 -> 5 channels, with the parts that forward code may use."""

    def __init__(self, code: Callable[["Bottleneck", Tensor], Tensor], groups: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.code = code
        self.expand = nn.Conv2d(5 - groups + 1, 12, 1, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(12)
        self.act = nn.LeakyReLU(1.0)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.pool = nn.AvgPool2d(2)
        self.dw = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=bias)
        self.even = nn.Conv2d(12, 12, 2, groups=12, bias=bias)
        self.norm2 = nn.BatchNorm2d(12)
        self.act2 = nn.Hardswish()
        self.project = nn.Conv2d(12, 5 - groups + 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


class Sliced(nn.Module):
    """A depthwise layer that convolves slices with kernels of several sizes."""

    def __init__(self, kernels: tuple[int, ...]) -> None:
        super().__init__()
        width = 12 // len(kernels)
        self.parts = nn.ModuleList(nn.Conv2d(width, width, k, padding=k // 2, groups=width) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.parts), 1)
        return torch.cat([conv(part) for conv, part in zip(self.parts, parts, strict=True)], 1)


def plain(b: Bottleneck, x: Tensor) -> Tensor:
    return x + b.project(b.act2(b.norm2(b.dw(b.act(b.norm(b.expand(x)))))))


def network(block: nn.Module, width: int = 5) -> tuple[nn.Module, Graph]:
    """The block behind a convolution, with random norms, and its graph."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), block).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_var.uniform_(0.5, 1.5)
                module.running_mean.normal_(0, 0.3)
                module.bias.normal_(0, 0.3)
    return model, trace(model, (3, 12, 12))
