"""What the tests of surgery share: a target, images with structure, a small network fused once each way."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.graph import Graph, rewrite
from workbench.hardware import Target, resolve
from workbench.surgery import build
from workbench.transforms import FuseIBN

from ..graph.zoo import lively, traced


def smooth(count: int, size: int, seed: int) -> Tensor:
    """Noise at three scales: neighbouring pixels have something in common, as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    scales = [torch.randn(count, 3, n, n, generator=generator) for n in (3, 9, 27)]
    x = sum(F.interpolate(s, size=(size, size), mode="bilinear") / i for i, s in enumerate(scales, 1))
    assert isinstance(x, Tensor)
    return x / x.std()


@dataclass(frozen=True)
class Fused:
    original: nn.Module
    graph: Graph
    planned: Graph
    composed: nn.Module
    fitted: nn.Module


@pytest.fixture(scope="session")
def target() -> Target:
    return resolve("ethos-u65-512")


@pytest.fixture(scope="session")
def fused(target: Target) -> Fused:
    """MobileNetV2 with every inverted bottleneck fused, by composing weights and by least squares."""
    original, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    plan = FuseIBN().plan(graph, target)
    images = smooth(32, 64, seed=1)
    composed, fitted = build(original, graph, [plan]), build(original, graph, [plan], images)
    return Fused(original, graph, rewrite(graph, plan), composed, fitted)
