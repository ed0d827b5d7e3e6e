"""A gate that is taken out leaves its mean behind."""

import copy

import pytest
import torch
from torch import nn

from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.transforms import RemoveSE

from ..graph.zoo import lively, traced
from .conftest import smooth


class Constant(nn.Module):
    """A gate whose factors do not depend on the image: taking it out with its mean changes nothing."""

    def __init__(self, width):
        super().__init__()
        self.fc = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.fc.weight)
        nn.init.normal_(self.fc.bias)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class Before(nn.Module):
    """The gate stands behind a norm and feeds an addition: the norm takes its mean."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.se = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), Constant(8)
        self.skip = nn.Conv2d(3, 8, 1)

    def forward(self, x):
        return (self.se(self.bn(self.conv(x))) + self.skip(x)).mean((2, 3))


class Behind(nn.Module):
    """A grouped convolution behind the gate takes its mean."""

    def __init__(self):
        super().__init__()
        self.conv, self.se = nn.Conv2d(3, 8, 3, padding=1), Constant(8)
        self.project = nn.Conv2d(8, 6, 3, groups=2)

    def forward(self, x):
        return self.project(self.se(torch.relu(self.conv(x)))).mean((2, 3))


@pytest.mark.parametrize("cls", [Before, Behind])
def test_a_constant_gate_is_folded_exactly(cls, target):
    torch.manual_seed(0)
    model, images = cls().eval(), smooth(8, 16, seed=2)
    graph = trace(model, (3, 16, 16))
    built = build(model, graph, [RemoveSE().plan(graph, target)], images)
    assert isinstance(built.se, nn.Identity)
    with torch.no_grad():
        torch.testing.assert_close(built(images), model(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model(images), copy.deepcopy(model)(images))


def test_with_its_mean_the_function_is_nearer(target):
    model, graph = lively("efficientnet_b0"), traced("efficientnet_b0", 64)
    plan, images, others = RemoveSE().plan(graph, target), smooth(8, 64, seed=1), smooth(8, 64, seed=2)
    with torch.no_grad():
        y = model(others)
        off = [(build(model, graph, [plan], x)(others) - y).norm() / y.norm() for x in (None, images)]
    assert off[1] < 0.5 * off[0]
