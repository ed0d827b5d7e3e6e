"""Gates go with everything they are computed with, and nothing else does."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.transforms import RemoveSE

from ..graph.zoo import traced


@pytest.mark.parametrize(
    ("name", "gates"),
    [("efficientnet_b0", 16), ("mobilenetv3_large_100", 8), ("seresnet50", 16), ("regnety_004", 16),
     ("eca_resnext26ts", 8), ("ghostnet_100", 7), ("ese_vovnet19b_slim_dw", 4)],
)  # fmt: skip
def test_gates_go_with_all_their_operators(name, gates, target):
    graph = traced(name, 64)
    plan = RemoveSE().plan(graph, target)
    edited = rewrite(graph, plan)
    assert len(plan.edits) == gates
    pooled = [op for op in edited.ops if op.kind == "mean"]
    assert len(pooled) == 1  # the classifier's
    assert len(edited.ops) == len(graph.ops) - sum(len(edit.ops) for edit in plan.edits)
    convs = [op for op in graph.ops if op.kind == "conv2d" and max(op.shape[2:]) > 1]
    assert [op.name for op in edited.ops if op.kind == "conv2d" and max(op.shape[2:]) > 1] == [op.name for op in convs]


def test_selected_blocks_only(target):
    graph = traced("efficientnet_b0", 64)
    assert len(RemoveSE("blocks.[56].*").plan(graph, target).edits) == 5


def test_what_is_no_gate_stays(mobilenet, target):
    with pytest.raises(NotApplicable, match="none of the blocks"):
        RemoveSE().plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="none of the blocks"):  # layer scale is no gate
        RemoveSE().plan(traced("convnext_atto", 64), target)
    with pytest.raises(NotApplicable, match="none of the blocks"):  # a norm written in code is none either
        RemoveSE().plan(traced("convnextv2_atto", 64), target)
    with pytest.raises(NotApplicable, match=r"blocks\.0\.0 \(depthwise-separable\) has no squeeze-excite"):
        RemoveSE("blocks.0.0").plan(traced("mobilenetv3_large_100", 64), target)
