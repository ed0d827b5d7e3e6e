"""Estimates: complete or saying what is missing, the same every time, and near the compiler where it was measured."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.estimators import estimate, is_calibrated
from workbench.graph.trace import trace
from workbench.hardware import resolve

from ..graph.zoo import traced

CALIBRATED = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-1024", "ethos-u85-2048")


@pytest.mark.parametrize("name", CALIBRATED)
def test_parts_add_up_to_the_whole(name):
    graph = traced("mobilenetv2_100", 224)
    whole = estimate(graph, resolve(name))
    assert whole.complete
    assert whole.ops.latency_ms.sum() == pytest.approx(whole.latency_ms)
    assert whole.blocks.latency_ms.sum() == pytest.approx(whole.latency_ms)
    assert whole.blocks.share.sum() == pytest.approx(1)
    assert whole.latency_interval_ms[0] < whole.latency_ms < whole.latency_interval_ms[1]
    assert (whole.macs, whole.params) == (graph.macs, graph.params)
    assert whole.peak_activation_bytes == whole.memory_timeline.live_bytes.max()


@pytest.mark.parametrize("name", CALIBRATED)
def test_the_compiler_is_inside_the_interval(name):
    target = resolve(name)
    graph = traced("mobilenetv2_100", 224)
    low, high = estimate(graph, target).latency_interval_ms
    compiled = target.measure_graph(graph).latency_ms
    assert compiled is not None
    assert low < compiled < high


def test_the_same_graph_gives_the_same_bits():
    graph, target = traced("mobilenetv2_100", 96), resolve("ethos-u65-512")
    assert estimate(graph, target) == estimate(graph, target)


def test_an_unknown_operator_is_listed_and_never_zero():
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3)

        def forward(self, x):
            return torch.cumsum(self.conv(x), 2)

    incomplete = estimate(trace(Summed(), (3, 32, 32)), resolve("ethos-u65-512"))
    assert not incomplete.complete
    assert "cumsum" in incomplete.cpu_ops[0]


def test_a_device_nobody_measured_says_so():
    target = resolve("onnxruntime-cpu")
    assert not is_calibrated(target)
    with pytest.raises(WorkbenchError, match="not calibrated"):
        estimate(traced("mobilenetv2_100", 96), target)
