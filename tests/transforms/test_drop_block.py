"""Residual blocks can go, others say why they cannot."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.transforms import DropBlock

from ..graph.zoo import traced


@pytest.mark.parametrize(("name", "blocks"), [("mobilenetv2_100", 10), ("resnet18", 5), ("convnext_atto", 12)])
def test_the_others_stay_as_they_are(name, blocks, target):
    graph = traced(name, 64)
    plan = DropBlock().plan(graph, target)
    edited = rewrite(graph, plan)
    gone = {name for edit in plan.edits for name in edit.ops}
    assert len(plan.edits) == blocks
    assert [(op.name, op.shape) for op in edited.ops] == [
        (op.name, op.shape) for op in graph.ops if op.name not in gone
    ]
    assert edited.macs == graph.macs - sum(graph.by_name[name].macs for name in gone)


def test_a_row_of_blocks(mobilenet, target):
    edited = rewrite(mobilenet, DropBlock("blocks.3.*").plan(mobilenet, target))
    assert [b.name for b in edited.blocks if b.name.startswith("blocks.3")] == ["blocks.3.0"]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("blocks.1.0", r"blocks\.1\.0 \(ibn\) cannot be taken out: it has no residual addition"),
        ("conv_stem", "conv_stem"),
    ],
)
def test_a_block_named_by_its_path_must_be_one(mobilenet, target, block, words):
    with pytest.raises(NotApplicable, match=words):
        DropBlock(block).plan(mobilenet, target)


def test_a_residual_of_another_shape_stays(target):
    with pytest.raises(NotApplicable, match="another shape than its input"):
        DropBlock("layer2.0").plan(traced("resnet18", 64), target)
