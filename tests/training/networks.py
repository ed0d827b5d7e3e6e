"""Networks small enough to learn digits, boxes and masks in seconds."""

from itertools import pairwise

import torch
from torch import nn

from workbench.training import Detector, Segmenter

__all__ = ["Bottlenecks", "Small", "bottlenecks", "small", "small_detector", "small_segmenter"]


class Small(nn.Module):
    """Three convolutions and a head; dropout, so that what is random in training is in play."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(32, 48, 3, 1, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(48, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.last(self.body(self.stem(x)))).flatten(1)
        return self.head(self.drop(x))


class Bottlenecks(nn.Module):
    """timm's inverted bottlenecks: one that strides, two in a residual stage."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        from timm.models._efficientnet_blocks import InvertedResidual

        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(
            InvertedResidual(16, 24, stride=2, exp_ratio=3.0, act_layer=nn.ReLU6),
            InvertedResidual(24, 24, exp_ratio=3.0, act_layer=nn.ReLU6),
            InvertedResidual(24, 24, exp_ratio=3.0, act_layer=nn.ReLU6),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(24, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))).flatten(1))


def bottlenecks(classes: int = 10) -> Bottlenecks:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Bottlenecks(classes)


def small(classes: int = 10) -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small(classes)


class Body(nn.Module):
    """Three strides of two convolutions and what heads ask of a backbone: intermediate maps and their facts."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 24, 32)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(read, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            )
            for read, width in pairwise(widths)
        )  # fmt: skip
        self.feature_info = [
            {"num_chs": width, "reduction": 2 << i, "module": f"stages.{i}"} for i, width in enumerate(widths[1:])
        ]

    def prune_intermediate_layers(self, indices: list[int], prune_norm: bool = False) -> list[int]:
        return indices

    def forward_intermediates(
        self, x: torch.Tensor, indices: list[int], output_fmt: str, intermediates_only: bool
    ) -> list[torch.Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[i] for i in indices]


def small_detector(classes: int) -> Detector:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Detector(Body(), classes, width=32)


def small_segmenter(classes: int) -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Segmenter(Body(), classes, width=16)
