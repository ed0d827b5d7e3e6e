"""Scaled networks have the widths timm's own width multiplier gives."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.transforms import DepthMultiplier

from ..graph.zoo import traced


def trunk(graph):
    """Output widths of the blocks."""
    return [block.out_width for block in graph.blocks if block.name.startswith("blocks.")]


@pytest.mark.parametrize(("ratio", "name"), [(0.5, "mobilenetv2_050"), (1.4, "mobilenetv2_140")])
def test_block_widths_are_those_of_timms_scaled_models(mobilenet, target, ratio, name):
    scaled = rewrite(mobilenet, DepthMultiplier(ratio).plan(mobilenet, target))
    assert trunk(scaled) == trunk(traced(name, 64))


def test_nothing_moves_against_the_ratio(target):
    graph = traced("rexnet_100", 64)
    for ratio in (0.95, 1.05):
        plan = DepthMultiplier(ratio).plan(graph, target)
        assert all((edit.width < graph.channels.segments[edit.segment].width) == (ratio < 1) for edit in plan.edits)


def test_grouped_layers_keep_their_groups(target):
    graph = traced("regnetx_004", 64)
    scaled = rewrite(graph, DepthMultiplier(0.75).plan(graph, target))
    groups = [[op["groups"] for op in g.ops if op.kind == "conv2d"] for g in (graph, scaled)]
    assert groups[0] == groups[1]


def test_neighbouring_ranges_do_not_scale_a_width_twice(mobilenet, target):
    whole = rewrite(mobilenet, DepthMultiplier(0.5, "blocks.2.*, blocks.3.*").plan(mobilenet, target))
    first = rewrite(mobilenet, DepthMultiplier(0.5, "blocks.2.*").plan(mobilenet, target))
    both = rewrite(first, DepthMultiplier(0.5, "blocks.3.*").plan(first, target))
    assert whole == both


def test_a_ratio_that_changes_nothing(mobilenet, target):
    with pytest.raises(NotApplicable, match="changes no width"):
        DepthMultiplier(1.0).plan(mobilenet, target)


def test_the_output_keeps_its_width(mobilenet, target):
    with pytest.raises(NotApplicable, match="classifier keeps its 1000 channels: it is the network's output"):
        DepthMultiplier(0.5, "classifier").plan(mobilenet, target)
