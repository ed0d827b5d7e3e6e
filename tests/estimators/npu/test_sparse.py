"""Weights of which two in four are zero, and inputs of one channel, on an accelerator that leaves the zeros out."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.estimators import weight_values
from workbench.estimators.cycle_model import modelled
from workbench.estimators.npu.weight_histogram import weight_histogram
from workbench.graph.trace import trace
from workbench.hardware import EthosU


class Convolutions(nn.Module):
    def __init__(self, channels, kernel):
        super().__init__()
        self.stem = nn.Conv2d(channels, 24, kernel, padding=kernel // 2)
        self.middle = nn.Conv2d(24, 40, 3, padding=1)
        self.point = nn.Conv2d(40, 64, 1)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.point(torch.relu(self.middle(torch.relu(self.stem(x))))))
        return self.head(x.mean((2, 3)))


def network(channels, kernel, size):
    torch.manual_seed(0)
    return trace(Convolutions(channels, kernel).eval(), (channels, size, size))


def two_in_four(name, shape):
    if len(shape) < 2:
        return None
    weight = np.random.default_rng([ord(c) for c in name]).standard_normal(shape).astype(np.float32)
    for i in range(0, shape[1], 4):
        part = weight[:, i : i + 4]
        smallest = np.argsort(np.abs(part), axis=1)[:, : max(part.shape[1] - 2, 0)]
        np.put_along_axis(part, smallest, 0, axis=1)
    return weight


@pytest.mark.parametrize("target", ["ethos-u85-128", "ethos-u85-512", "ethos-u85-2048"])
@pytest.mark.parametrize(("channels", "kernel", "size"), [(1, 3, 48), (1, 7, 32), (2, 5, 40), (3, 3, 64)])
def test_cycles_are_the_compilers(channels, kernel, size, target):
    graph, target = network(channels, kernel, size), EthosU(target)
    full, half = target.measure_graph(graph), target.measure_graph(graph, two_in_four)
    assert half.cycles < full.cycles
    assert sum(modelled(graph, target).cycles) == pytest.approx(full.cycles, rel=0.01)
    values = weight_values(graph, two_in_four)
    assert sum(modelled(graph, target, values).cycles) == pytest.approx(half.cycles, rel=0.01)


def test_which_weights_are_sparse():
    weight = two_in_four("w", (8, 16, 3, 3))
    assert weight_histogram(weight).sparse
    weight[3, 4:7, 1, 1] = 1.0
    assert not weight_histogram(weight).sparse
