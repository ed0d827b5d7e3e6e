"""Fused blocks are timm's EdgeResidual: the planned graph is the trace of one, names included."""

import pytest
import timm
import torch
from timm.models._efficientnet_blocks import EdgeResidual

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.transforms import FuseIBN

from ..graph.zoo import traced


def described(graph, path):
    """A block's operators without the names the exporter chose."""
    ops = [op for op in graph.ops if op.module == path or op.module.startswith(path + ".")]
    return [(op.kind, op.shape, op.attrs, op.params, op.module) for op in ops]


def test_planned_block_is_the_trace_of_timms_own(target):
    model = timm.create_model("efficientnet_b0")
    graph = trace(model, (3, 64, 64))
    fused = rewrite(graph, FuseIBN("blocks.1.1").plan(graph, target))
    old = model.blocks[1][1]
    new = EdgeResidual(24, 24, 3, exp_ratio=6, act_layer=torch.nn.SiLU, se_layer=None)
    new.se = old.se
    model.blocks[1][1] = new
    assert described(fused, "blocks.1.1") == described(trace(model, (3, 64, 64)), "blocks.1.1")
    assert next(b for b in fused.blocks if b.name == "blocks.1.1").kind == "fused-ibn"


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_b0", "mobilenetv3_large_100"])
def test_macs_are_the_textbooks(name, target):
    graph = traced(name, 64)
    blocks = [block for block in graph.blocks if block.kind == "ibn"]
    fused = rewrite(graph, FuseIBN().plan(graph, target))
    for block in blocks:
        was = [op for op in graph.ops if op.name in block.ops and op.kind == "conv2d"]
        (new,) = [op for op in fused.ops if op.module == f"{block.name}.conv_exp" and op.kind == "conv2d"]
        size = was[1].shape[2] * was[1].shape[3]
        assert new.macs == size * block.width * block.mid_width * block.kernel**2


def test_patterns_pass_over_what_cannot_be_fused(mobilenet, target):
    plan = FuseIBN("*").plan(mobilenet, target)
    assert [edit.module for edit in plan.edits] == [b.name for b in mobilenet.blocks if b.kind == "ibn"]


def test_a_block_named_by_its_path_must_be_one(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"blocks\.0\.0 \(depthwise-separable\) cannot be fused"):
        FuseIBN("blocks.0.0").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match=r"blocks\.0\.0"):
        FuseIBN("blocks.1.*, blocks.0.0").plan(mobilenet, target)


def test_twice_does_not_apply(mobilenet, target):
    fused = rewrite(mobilenet, FuseIBN("blocks.1.0").plan(mobilenet, target))
    with pytest.raises(NotApplicable, match=r"blocks\.1\.0 \(fused-ibn\)"):
        FuseIBN("blocks.1.0").plan(fused, target)


def test_partial_residuals_and_mixed_kernels_are_refused(target):
    with pytest.raises(NotApplicable, match=r"features\.2"):
        FuseIBN("features.2").plan(traced("rexnet_100", 64), target)
    with pytest.raises(NotApplicable, match=r"blocks\.1\.0"):
        FuseIBN("blocks.1.0").plan(traced("mixnet_s", 64), target)


def test_no_block_at_all(target):
    with pytest.raises(NotApplicable, match="cannot be fused"):
        FuseIBN().plan(traced("resnet18", 64), target)


def test_the_activation_is_the_one_behind_the_depthwise(target):
    graph = traced("rexnet_100", 64)
    fused = rewrite(graph, FuseIBN("features.1").plan(graph, target))
    kinds = [op.kind for op in fused.ops if op.module.startswith("features.1.")]
    assert kinds == ["conv2d", "batch_norm", "relu6", "conv2d", "batch_norm"]
