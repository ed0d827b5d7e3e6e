"""A runtime's nodes are charged to the operators whose work they do."""

import pytest
import timm

from workbench.estimators.device.runtime_profile import operator_times
from workbench.graph.trace import trace
from workbench.hardware import OnnxRuntimeCpu
from workbench.hardware.lowering import HwOp, lower

X = HwOp("x", "INPUT", (), (1, 8, 8, 3), ("x",))
CONV = HwOp("conv", "CONV_2D", ("x",), (1, 8, 8, 16), ("conv", "norm"))
OTHER = HwOp("other", "CONV_2D", ("conv",), (1, 8, 8, 16), ("other",))
ADD = HwOp("add", "ADD", ("conv", "other"), (1, 8, 8, 16), ("add",))
GATE = HwOp("silu.logistic", "LOGISTIC", ("add",), (1, 8, 8, 16), ("silu",))
SILU = HwOp("silu", "MUL", ("add", "silu.logistic"), (1, 8, 8, 16), ("silu",))
OPS = [X, CONV, OTHER, ADD, GATE, SILU]


def test_a_convolution_that_adds_on_the_way_is_the_convolution():
    assert list(operator_times(OPS, [("norm", "Conv", 2.0), ("add", "Conv", 3.0)])) == [2, 3, 0, 0, 0]


def test_what_one_operator_became_is_told_apart():
    assert list(operator_times(OPS, [("conv", "Conv", 1.0), ("silu.gate", "Sigmoid", 2.0), ("silu", "Mul", 3.0)])) == [
        1, 0, 0, 2, 3,
    ]  # fmt: skip


def test_a_node_nobody_asked_for_belongs_to_the_next():
    nodes = [
        ("conv", "Conv", 4.0),
        ("ReorderOutput", "ReorderOutput", 1.0),
        ("add", "Add", 1.0),
        ("end", "Reorder", 0.5),
    ]
    assert list(operator_times(OPS, nodes)) == [4, 0, 2.5, 0, 0]


def test_a_profile_of_something_else_is_none():
    assert operator_times(OPS, [("a", "Conv", 4.0), ("conv", "Conv", 1.0)]) is None
    assert operator_times(OPS, []) is None


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenetv3_small_050", "resnet10t", "ghostnet_050"])
def test_the_real_runtime(name):
    graph = trace(timm.create_model(name).eval(), (3, 64, 64))
    measured = OnnxRuntimeCpu(rounds=1, seconds=0.01).measure_graph(graph)
    nodes = tuple(measured.ops.itertuples(index=False, name=None))
    run = [op for op in lower(graph) if op.kind != "INPUT"]
    spent = operator_times(run, nodes)
    assert spent is not None
    assert spent.sum() == pytest.approx(sum(ms for *_, ms in nodes))
    layers = [ms for op, ms in zip(run, spent, strict=True) if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert sum(ms > 0 for ms in layers) > 0.9 * len(layers)  # the profiler counts whole microseconds
    assert sum(layers) > spent.sum() / 3
