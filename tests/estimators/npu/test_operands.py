"""Arithmetic of a feature map with vectors that layers make, and with constants a row, a column or a channel."""

from random import Random

import pytest

from workbench.estimators import estimate
from workbench.estimators.operator_builders import SmallNet
from workbench.graph import Graph
from workbench.hardware import EthosU


def network(kind, shape, operand, source):
    """A layer's output and an operand that is a constant, a layer's output, or a number; a layer behind both."""
    net = SmallNet(Random(0))
    x = (
        net.map(shape[1], shape[2:])
        if len(shape) == 4
        else net.linear(net.add("input", [], shape=(*shape[:-1], 32)), shape[-1])
    )
    if source == "number":
        y = net.add(kind, [x], scalar=2.0)
    elif source == "constant":
        y = net.add(kind, [x, net.add("param", [], {"value": operand}, shape=operand)])
    else:
        y = net.add(kind, [x, net.linear(net.add("input", [], shape=(*operand[:-1], 32)), operand[-1])])
    end = net.end(y)
    return Graph(tuple(net.ops), (end,))


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("ethos-u85-256", ("mul", (1, 100, 12, 12), (1, 1, 12, 1), "constant")),
        ("ethos-u65-512", ("mul", (1, 16, 49, 49), (1, 1, 49, 1), "constant")),
        ("ethos-u55-128", ("mul", (1, 24, 7, 10), (1, 1, 1, 10), "constant")),
        ("ethos-u85-256", ("sub", (1, 7, 8), (1, 1, 8), "constant")),
        ("ethos-u85-1024", ("add", (1, 7, 8), (1, 7, 8), "constant")),
        ("ethos-u85-256", ("mul", (1, 7, 8), (), "number")),
        ("ethos-u85-256", ("sub", (1, 16), (1, 16), "layer")),
        ("ethos-u85-1024", ("mul", (1, 12, 64), (1, 1, 1), "layer")),
    ],
)
def test_an_operand_costs_what_the_compiler_says(target, part):
    graph, target = network(*part), EthosU(target)
    compiled, estimated = target.measure_graph(graph), estimate(graph, target)
    assert estimated.latency_ms == pytest.approx(compiled.latency_ms, rel=0.02)
