"""Widths inside blocks move; what blocks read and make stays."""

import pytest

from workbench.errors import InputError, NotApplicable
from workbench.graph import rewrite
from workbench.transforms import DepthMultiplier, EvenChannels, ExpandRatio

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0", "resnet18", "regnetx_004"])
@pytest.mark.parametrize("ratio", [2, 8])
def test_blocks_read_and_make_what_they_did(name, ratio, target):
    graph = traced(name, 64)
    edited = rewrite(graph, ExpandRatio(ratio).plan(graph, target))
    facts = [[(b.name, b.width, b.out_width, b.stride) for b in g.blocks] for g in (graph, edited)]
    assert facts[0] == facts[1]
    kinds = [b for b in edited.blocks if b.kind in ("ibn", "bottleneck", "basic")]
    multiple = target.channel_multiple
    assert all(abs(b.mid_width - max(multiple, ratio * b.width)) <= multiple for b in kinds if b.kind == "ibn")
    if all(b.kind in ("ibn", "conv", "depthwise-separable", "head") for b in edited.blocks):
        assert (edited.macs > graph.macs) == (ratio == 8)


def test_one_block(mobilenet, target):
    plan = ExpandRatio(3, "blocks.3.1").plan(mobilenet, target)
    assert [(edit.segment, edit.width) for edit in plan.edits] == [("blocks.3.1.conv_pw", 192)]


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"conv_stem \(conv\) has no width of its own inside"):
        ExpandRatio(3, "conv_stem").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="a ratio of 6 changes no width"):
        ExpandRatio(6, "blocks.3.1").plan(mobilenet, target)
    with pytest.raises(InputError, match="ratio is 0"):
        ExpandRatio(0)


@pytest.mark.parametrize(
    ("transform", "why"),
    [
        (
            ExpandRatio(3),
            r"layer1.0.conv1 keeps its 64 channels, as more would .*: a group norm averages",
        ),
        (EvenChannels("up", 96), r"conv1 keeps its 64 channels, as more would change the function: a group norm"),
        (DepthMultiplier(1.5), r"changes no width in '\*': conv1 keeps its 64 channels, as more would change"),
    ],
)
def test_norms_that_would_notice_new_channels_are_named(transform, why, target):
    with pytest.raises(NotApplicable, match=why):
        transform.plan(traced("resnet50_gn", 64), target)
