"""Layers as they stand in most code of this kind, and how a network of the benchmark is told."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Conv", "Networks", "Residual", "Shape", "conv", "depthwise", "lively", "separable"]

Shape = tuple[int, ...]
# name -> what makes the network, the shapes of its inputs without the batch
Networks = Mapping[str, tuple[Callable[[], nn.Module], Sequence[Shape]]]
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm)


def conv(
    reads: int, makes: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: nn.Module | None = None
) -> nn.Sequential:
    """Convolution, batch norm, ReLU (or `act`), padded to keep the size."""
    layer = nn.Conv2d(reads, makes, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(makes), nn.ReLU(inplace=True) if act is None else act)


def depthwise(channels: int, kernel: int = 3, stride: int = 1, act: nn.Module | None = None) -> nn.Sequential:
    return conv(channels, channels, kernel, stride, channels, act)


def separable(reads: int, makes: int, stride: int = 1, kernel: int = 3, act: nn.Module | None = None) -> nn.Sequential:
    """MobileNet's pair: depthwise, pointwise."""
    return nn.Sequential(*depthwise(reads, kernel, stride, act), *conv(reads, makes, 1, act=act))


class Conv(nn.Module):
    """YOLO's: the layers are attributes, the padding follows from the kernel."""

    def __init__(self, reads: int, makes: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(reads, makes, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(makes)
        self.act = nn.SiLU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Residual(nn.Module):
    """What is inside, added to what it reads."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@torch.no_grad()
def lively(net: nn.Module) -> nn.Module:
    """Norms, biases and scales that are random, so that no branch is nearly zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(0)
    scales = {id(m.weight) for m in net.modules() if isinstance(m, _NORMS) and m.weight is not None}
    for key, value in (*net.named_parameters(), *net.named_buffers()):
        if id(value) in scales or key.endswith(("running_var", "layer_scale", "gamma")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif key.endswith(("bias", "running_mean")):
            value.copy_(torch.rand(value.shape, generator=generator) / 2 - 0.25)
    return net.eval()
