"""Dense layers stand where depthwise ones stood."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.transforms import DenseDepthwise

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["mobilenetv2_100", "ghostnet_100", "mixnet_s"])
def test_no_depthwise_is_left_and_nothing_else_changed(name, target):
    graph = traced(name, 64)
    dense = rewrite(graph, DenseDepthwise().plan(graph, target))
    assert [(op.name, op.kind, op.shape, op.inputs) for op in dense.ops] == [
        (op.name, op.kind, op.shape, op.inputs) for op in graph.ops
    ]
    assert not any(op.is_depthwise for op in dense.ops)
    grown = sum(op.macs * (op["groups"] - 1) for op in graph.ops if op.is_depthwise)
    assert dense.macs == graph.macs + grown


def test_selected_blocks_only(mobilenet, target):
    plan = DenseDepthwise("blocks.2.*").plan(mobilenet, target)
    assert {mobilenet.by_name[edit.ops[0]].module for edit in plan.edits} == {f"blocks.2.{i}.conv_dw" for i in range(3)}


def test_blocks_without_one(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"conv_stem \(conv\) has no depthwise"):
        DenseDepthwise("conv_stem").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="none of the blocks"):
        DenseDepthwise().plan(traced("resnet18", 64), target)


def test_fixed_blurs_stay(target):
    with pytest.raises(NotApplicable, match="none of the blocks"):
        DenseDepthwise().plan(traced("resnetblur50", 64), target)
