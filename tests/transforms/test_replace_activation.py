"""Activations exchanged where they are modules of their own."""

import pytest
from torch import nn

from workbench.errors import NotApplicable, UnknownName
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.transforms import ReplaceActivation

from ..graph.networks import Residual
from ..graph.zoo import traced


def test_smooth_ones_go_and_gates_stay(target):
    graph = traced("efficientnet_b0", 64)
    edited = rewrite(graph, ReplaceActivation().plan(graph, target))
    kinds = [op.kind for op in graph.ops]
    assert [op.kind for op in edited.ops] == ["hard_swish" if kind == "silu" else kind for kind in kinds]
    assert "sigmoid" in kinds
    assert [(op.name, op.shape, op.inputs) for op in edited.ops] == [(op.name, op.shape, op.inputs) for op in graph.ops]


def test_gates_go_when_named(target):
    graph = traced("efficientnet_b0", 64)
    edited = rewrite(graph, ReplaceActivation("hard_sigmoid", of=("sigmoid",), blocks="blocks.1.*").plan(graph, target))
    assert sum(op.kind == "hard_sigmoid" for op in edited.ops) == 2
    assert sum(op.kind == "silu" for op in edited.ops) == sum(op.kind == "silu" for op in graph.ops)


class Twice(nn.Module):
    """One activation module called in two places."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.act = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.SiLU()

    def forward(self, x):
        return self.act(self.two(self.act(self.one(x)))).mean((2, 3))


def test_a_module_called_twice_is_replaced_twice(target):
    graph = trace(Twice(), (3, 16, 16))
    edited = rewrite(graph, ReplaceActivation("relu6", blocks="one").plan(graph, target))
    assert [op.kind for op in edited.ops if op.kind in ("silu", "relu6")] == ["relu6", "relu6"]


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match="has a silu or gelu or mish or elu"):
        ReplaceActivation().plan(mobilenet, target)
    with pytest.raises(NotApplicable, match=r"blocks\.1\.0 \(ibn\) has no silu"):
        ReplaceActivation(blocks="blocks.1.0").plan(mobilenet, target)
    graph = trace(Residual(), (3, 32, 32))
    with pytest.raises(NotApplicable, match="relu of the network is written into its code"):
        ReplaceActivation("relu6", of=("relu",)).plan(graph, target)
    with pytest.raises(UnknownName, match="'hardswish'; the nearest is 'hard_swish'"):
        ReplaceActivation("hardswish")
    with pytest.raises(UnknownName, match="the nearest is 'silu'"):
        ReplaceActivation(of=("silo",))
