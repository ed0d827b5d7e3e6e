"""First layers that read a deep input again and again: the compiler copies it near first, or leaves it where it is."""

import pytest

from workbench.estimators import estimate
from workbench.estimators.cycle_model import modelled
from workbench.graph import Graph, Op, Param
from workbench.graph.shapes import infer_shape
from workbench.hardware import EthosU


def first_layer(channels, size, kernel, stride, out, depthwise=False):
    """A convolution of the network's input, and a 1x1 convolution behind it."""
    source = Op("x", "input", (), (1, channels, *size))
    ops, settings = [source], {"dilation": (1, 1)}
    for name, wide, k, s, groups in (
        ("first", channels if depthwise else out, kernel, stride, channels if depthwise else 1),
        ("second", 16, (1, 1), 1, 1),
    ):
        before = ops[-1]
        attrs = {**settings, "kernel": k, "stride": (s, s), "padding": (k[0] // 2, k[1] // 2), "groups": groups}
        params = (Param("weight", f"{name}.weight", (wide, before.shape[1] // groups, *k)),)
        op = Op(name, "conv2d", (before.name,), (), tuple(sorted(attrs.items())), params, module=name)
        shape = infer_shape(op, [before.shape])
        ops.append(Op(name, "conv2d", op.inputs, shape, op.attrs, params, module=name))
    return Graph(tuple(ops), ("second",))


@pytest.mark.parametrize(
    ("target", "layer", "copied"),
    [
        ("ethos-u85-256", (48, (24, 12), (3, 1), 1, 64), True),
        ("ethos-u85-2048", (128, (24, 24), (1, 3), 2, 128), True),
        ("ethos-u85-256", (64, (16, 20), (5, 5), 1, 16), True),
        ("ethos-u85-1024", (24, (32, 32), (3, 3), 2, 32), False),
        ("ethos-u85-256", (24, (32, 32), (3, 3), 1, 32), False),
        ("ethos-u65-512", (64, (8, 8), (3, 1), 2, 64), False),
        ("ethos-u85-1024", (16, (32, 32), (1, 1), 1, 32), False),  # two slices of weights, each with scales of its own
    ],
)
def test_a_first_layer_costs_what_the_compiler_says(target, layer, copied):
    graph, target = first_layer(*layer), EthosU(target)
    compiled, estimated = target.measure_graph(graph), estimate(graph, target)
    assert (compiled.ops.kind == "MemoryCopy").any() == copied
    assert any(pass_.op == "MemoryCopy" for pass_ in modelled(graph, target).passes) == copied
    assert estimated.latency_ms == pytest.approx(compiled.latency_ms, rel=0.02)
    assert estimated.sram_bytes == pytest.approx(compiled.sram_bytes, rel=0.05)
