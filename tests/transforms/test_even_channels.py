"""Evening moves widths to multiples and nothing else."""

import pytest
import timm

from workbench.errors import NotApplicable
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.transforms import EvenChannels

from ..graph.zoo import traced


def widths(graph):
    return {name: s.width for name, s in graph.channels.segments.items() if not s.frozen}


@pytest.mark.parametrize(
    "name", ["mobilenetv3_large_100", "ghostnet_100", "efficientnet_b0", "rexnet_100", "regnetx_004"]
)
def test_up_makes_every_free_width_a_multiple(name, target):
    graph = traced(name, 64)
    even = rewrite(graph, EvenChannels("up", 24).plan(graph, target))
    was, now = widths(graph), widths(even)
    assert was.keys() == now.keys()
    assert all(now[s] % 24 == 0 and 0 <= now[s] - was[s] < 24 * graph.channels.segments[s].multiple for s in was)


def test_nearest_moves_by_half_a_multiple_at_most_and_spares_small_gates(target):
    graph = traced("efficientnet_b0", 64)
    plan = EvenChannels("nearest", 16).plan(graph, target)
    moved = {edit.segment: (graph.channels.segments[edit.segment].width, edit.width) for edit in plan.edits}
    assert moved
    assert all(new % 16 == 0 and abs(new - old) <= 8 for old, new in moved.values())
    assert moved["blocks.1.0.conv_pwl"] == (24, 32)  # a tie goes up
    assert not any(old < 16 for old, _ in moved.values())


def test_down_never_grows_or_falls_below_one_multiple(target):
    graph = traced("mobilenetv3_large_100", 64)
    even = rewrite(graph, EvenChannels("down", 32).plan(graph, target))
    was, now = widths(graph), widths(even)
    assert all(now[s] == (was[s] if was[s] < 32 else was[s] // 32 * 32) for s in was)


def test_the_targets_multiple_is_the_default(mobilenet, target):
    assert EvenChannels().plan(mobilenet, target) == EvenChannels(multiple=target.channel_multiple).plan(
        mobilenet, target
    )


def test_only_widths_of_the_selected_blocks_move(mobilenet, target):
    plan = EvenChannels("up", 32, "blocks.1.1").plan(mobilenet, target)
    assert {edit.segment for edit in plan.edits} == {"blocks.1.0.conv_pwl", "blocks.1.1.conv_pw"}


def test_even_already(mobilenet, target):
    with pytest.raises(NotApplicable, match="already even"):
        EvenChannels(multiple=8).plan(mobilenet, target)


def test_layer_norms_are_never_padded(target):
    graph = trace(timm.create_model("convnext_atto"), (3, 64, 64))
    plan = EvenChannels("up", 48).plan(graph, target)
    assert plan
    assert not any(graph.channels.segments[edit.segment].no_pad for edit in plan.edits)
