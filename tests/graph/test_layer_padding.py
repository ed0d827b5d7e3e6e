"""Padding that layers do for themselves, as much as their input needs, and what they have fixed."""

import pytest
from timm.layers import BlurPool2d, StdConv2dSame, create_conv2d
from torch import nn

from workbench.graph import Graph, Op, Plan, Resize, SetInput, SetSpatial, rewrite
from workbench.graph.layer_padding import is_padding_of, pads_as_needed
from workbench.graph.trace import trace


def standardised(width=8, stride=2, dilation=1):
    """Layers of one class: the first pads what its input needs, the second has a fixed padding."""
    return nn.Sequential(
        StdConv2dSame(3, width, 3, stride=stride),
        nn.BatchNorm2d(width),
        StdConv2dSame(width, 8, 3, dilation=dilation),
        create_conv2d(8, 8, 5, stride=2, padding="same"),
    )


@pytest.fixture(scope="module")
def graph() -> Graph:
    return trace(standardised(), (3, 33, 32))


def test_who_pads_itself(graph):
    convs = [op for op in graph.ops if op.kind == "conv2d"]
    assert [pads_as_needed(graph, op) for op in convs] == [True, False, True]
    assert [is_padding_of(graph.by_name[op.inputs[0]], op) for op in convs] == [True, False, True]
    outside = Op("pad", "pad", ("x",), (1, 3, 34, 34), module="before")
    assert not is_padding_of(outside, convs[0])


def test_another_width_leaves_a_fixed_padding_alone(graph):
    (segment,) = graph.channels.layout[next(op.name for op in graph.ops if op.module == "0" and op.params)].segments
    assert rewrite(graph, Plan((Resize(segment, 12),))) == trace(standardised(12), (3, 33, 32))


@pytest.mark.parametrize("size", [(3, 40, 48), (3, 37, 35)])
def test_another_input_equals_the_trace_at_that_size(graph, size):
    assert rewrite(graph, Plan((SetInput(size),))) == trace(standardised(), size)


def test_stride_and_dilation_equal_rebuilt(graph):
    """A layer that was built strided pads itself at stride 1 too; the fixed padding has to be told."""
    first, second = (op.name for op in graph.ops if op.kind == "conv2d" and op.module in "02")
    plan = Plan((SetSpatial(first, stride=(1, 1)), SetSpatial(second, dilation=(2, 2), padding=(2, 2))))
    finer = standardised(dilation=2)
    finer[0].stride = (1, 1)
    assert rewrite(graph, plan) == trace(finer, (3, 33, 32))


@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_padding_in_a_layers_code_follows_the_edit(mode):
    graph = trace(nn.Sequential(nn.Conv2d(3, 8, 1), BlurPool2d(8, pad_mode=mode)), (3, 16, 16))
    blur = graph.outputs[0]
    edited = rewrite(graph, Plan((SetSpatial(blur, stride=(1, 1), dilation=(2, 2), padding=(2, 2)),)))
    pad = edited.by_name[edited.by_name[blur].inputs[0]]
    assert pad["pads"][2:] == ((2, 2), (2, 2))
    assert (pad.shape[2:], edited.by_name[blur].shape[2:]) == ((20, 20), (16, 16))
    assert edited.by_name[blur]["padding"] == (0, 0)
