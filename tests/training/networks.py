"""Networks small enough to learn digits in seconds."""

import torch
from torch import nn

__all__ = ["Small", "small"]


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


def small(classes: int = 10) -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small(classes)
