"""Small networks whose widths are constructor arguments: building one is the independent route to a resized graph."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Chunked", "Concat", "Decoder", "Grouped", "PartialResidual", "Residual", "SqueezeExcite", "Tied"]


class Residual(nn.Module):
    """Two residual blocks, one with a depthwise convolution; `trunk` channels move together."""

    def __init__(self, trunk: int = 16, hidden: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, trunk, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(trunk)
        self.expand = nn.Conv2d(trunk, hidden, 1)
        self.dw = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.project = nn.Conv2d(hidden, trunk, 1)
        self.dense = nn.Conv2d(trunk, trunk, 3, 1, 1)
        self.head = nn.Linear(trunk, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        x = x + self.project(torch.relu(self.dw(self.expand(x))))
        x = x + self.dense(x)
        return self.head(x.mean((2, 3)))


class Concat(nn.Module):
    """A concatenation behind which both parts keep their own widths, flattened into the classifier."""

    def __init__(self, left: int = 8, right: int = 12) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, left, 3, 2, 1)
        self.right = nn.Conv2d(3, right, 3, 2, 1)
        self.mix = nn.Conv2d(left + right, 16, 1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear((left + right) * 4, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([self.left(x), self.right(x)], 1)
        return self.mix(both), self.head(self.pool(both).flatten(1))


class Chunked(nn.Module):
    """Two halves of a tensor, each convolved on its own; only one of them widens for free."""

    def __init__(self, half: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2 * half, 3, 1, 1)
        self.left = nn.Conv2d(half, 16, 3, 1, 1)
        self.right = nn.Conv2d(half, 100, 3, 1, 1)
        self.head = nn.Conv2d(116, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).chunk(2, 1)
        return self.head(torch.cat([self.left(left), self.right(right)], 1))


class PartialResidual(nn.Module):
    """rexnet's residual: the input is added into the first channels of a wider output."""

    def __init__(self, first: int = 10, more: int = 6) -> None:
        super().__init__()
        self.first = first
        self.stem = nn.Conv2d(3, first, 3, 2, 1)
        self.body = nn.Conv2d(first, first + more, 3, 1, 1)
        self.head = nn.Linear(first + more, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.body(x)
        y = torch.cat([y[:, : self.first] + x, y[:, self.first :]], 1)
        return self.head(y.mean((2, 3)))


class SqueezeExcite(nn.Module):
    """A gate computed from the pooled map it multiplies."""

    def __init__(self, width: int = 16, reduced: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.reduce = nn.Conv2d(width, reduced, 1)
        self.expand = nn.Conv2d(reduced, width, 1)
        self.head = nn.Conv2d(width, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        gate = self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))).sigmoid()
        return self.head(x * gate).mean((2, 3))


class Grouped(nn.Module):
    """A grouped convolution in four groups."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.grouped = nn.Conv2d(width, 2 * width, 3, 1, 1, groups=4)
        self.head = nn.Conv2d(2 * width, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.grouped(self.stem(x))).mean((2, 3))


class Decoder(nn.Module):
    """A step of a feature pyramid: a map made larger and added to a finer one."""

    def __init__(self, mode: str = "nearest", ratio: int = 2, width: int = 16) -> None:
        super().__init__()
        self.mode, self.ratio = mode, ratio
        self.fine = nn.Conv2d(3, width, 3, padding=1)
        self.coarse = nn.Conv2d(width, width, ratio, stride=ratio)
        self.head = nn.Conv2d(width, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        corners = {} if self.mode == "nearest" else {"align_corners": False}
        larger = F.interpolate(self.coarse(fine), scale_factor=float(self.ratio), mode=self.mode, **corners)
        return self.head(torch.relu(fine + larger))


class Tied(nn.Module):
    """Two layers that share a weight, and one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, 1, 1)
        self.second = nn.Conv2d(3, 3, 3, 1, 1)
        self.second.weight = self.first.weight
        self.twice = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.twice(torch.relu(self.twice(torch.relu(self.second(torch.relu(self.first(x)))))))
