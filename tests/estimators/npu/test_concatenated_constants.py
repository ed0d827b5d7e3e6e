"""Constants that are concatenated to a feature map: where they stand decides its format and the order of the copies."""

from random import Random

import pytest

from workbench.estimators import estimate
from workbench.estimators.operator_builders import SmallNet
from workbench.graph import Graph
from workbench.hardware import EthosU


def network(rank, axis, length, first):
    """A layer, its output beside a constant of so many elements along the axis, and a layer behind both."""
    net = SmallNet(Random(0))
    x = net.map(48, (20, 20)) if rank == 4 else net.linear(net.add("input", [], shape=(1, 49, 32)), 64)
    shape = tuple(length if k == axis else n for k, n in enumerate(net.shapes[x]))
    constant = net.add("param", [], {"value": shape}, shape=shape)
    y = net.add("concat", [constant, x] if first else [x, constant], axis=axis)
    end = net.end(y)
    return Graph(tuple(net.ops), (end,))


@pytest.mark.parametrize("target", ["ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize(
    "part",
    [(4, 1, 8, True), (4, 1, 8, False), (4, 1, 24, True), (4, 2, 8, True), (3, 1, 1, True), (3, 1, 1, False)],
)
def test_a_constant_before_or_behind_costs_what_the_compiler_says(part, target):
    graph, target = network(*part), EthosU(target)
    compiled, estimated = target.measure_graph(graph), estimate(graph, target)
    assert estimated.latency_ms == pytest.approx(compiled.latency_ms, rel=0.01)
    assert estimated.sram_bytes == pytest.approx(compiled.sram_bytes, rel=0.05)
