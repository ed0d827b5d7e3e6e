"""Evening moves widths to multiples and nothing else."""

from itertools import product

import pytest
import timm

from workbench.errors import InputError, NotApplicable
from workbench.estimators import estimate
from workbench.graph import Plan, Resize, rewrite
from workbench.graph.trace import trace
from workbench.hardware import resolve
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


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
def test_by_cost_finds_the_fastest_widths_of_at_least_the_same_capacity(accelerator):
    target, graph, blocks = resolve(accelerator), traced("rexnet_100", 64), "features.[34]"
    up = {edit.segment: edit.width for edit in EvenChannels("up", 16, blocks).plan(graph, target).edits}
    down = {edit.segment: edit.width for edit in EvenChannels("down", 16, blocks).plan(graph, target).edits}
    assert 5 <= len(up) <= 10

    def latency_ms(widths):
        even = rewrite(graph, Plan(tuple(Resize(name, width) for name, width in zip(up, widths, strict=True))))
        holds = even.params >= graph.params and even.macs >= graph.macs
        return estimate(even, target).latency_ms if holds else float("inf")

    best = min(map(latency_ms, product(*({down.get(name, width), width} for name, width in up.items()))))
    chosen = rewrite(graph, EvenChannels("cost", 16, blocks).plan(graph, target))
    assert estimate(chosen, target).latency_ms <= 1.002 * best  # neighbouring widths multiply, the program adds


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenetv3_large_100", "ghostnet_100"])
def test_by_cost_is_never_slower_than_one_direction_for_all(name, target):
    graph = traced(name, 64)
    plan = EvenChannels("cost").plan(graph, target)
    even = rewrite(graph, plan)
    assert even.params >= graph.params
    assert even.macs >= graph.macs
    assert plan == EvenChannels("cost").plan(graph, target)
    assert {edit.segment for edit in plan.edits} <= {e.segment for e in EvenChannels("up").plan(graph, target).edits}
    for direction in ("nearest", "up"):
        other = rewrite(graph, EvenChannels(direction).plan(graph, target))
        if other.params >= graph.params and other.macs >= graph.macs:
            assert estimate(even, target).latency_ms <= estimate(other, target).latency_ms * (1 + 1e-9)


@pytest.mark.parametrize("direction", ["cost", "nearest"])
def test_equal_parts_get_one_width(direction, target):
    """Res2Net splits a tensor at one width; its parts differ in what they cost."""
    graph = traced("dla60_res2net", 64)
    even = rewrite(graph, EvenChannels(direction, 16).plan(graph, target))
    slices = [op for op in even.ops if op.kind == "slice" and op.module == "level2.tree1"]
    assert len(slices) == 4
    assert len({op.shape[1] for op in slices}) == 1
    assert slices[0].shape[1] % 16 == 0


def test_by_cost_keeps_to_budgets(target):
    graph = traced("ghostnet_100", 64)
    free = estimate(rewrite(graph, EvenChannels("up", 16).plan(graph, target)), target)
    kib = estimate(graph, target).weight_bytes * 1.005 / 1024
    bound = estimate(rewrite(graph, EvenChannels("cost", 16, model_kib=kib).plan(graph, target)), target)
    assert bound.weight_bytes / 1024 <= kib < free.weight_bytes / 1024
    with pytest.raises(NotApplicable, match=r"meet sram_kib=1; the nearest need \d+ KiB"):
        EvenChannels("cost", 16, sram_kib=1).plan(graph, target)


def test_by_cost_asks_a_calibrated_target(mobilenet):
    with pytest.raises(NotApplicable, match="onnxruntime-cpu, which is not calibrated"):
        EvenChannels("cost", 48).plan(mobilenet, resolve("onnxruntime-cpu"))


def test_budgets_ask_for_cost():
    with pytest.raises(InputError, match=r'need direction "cost".*it is \'up\''):
        EvenChannels("up", sram_kib=256)
    with pytest.raises(InputError, match="model_kib is -1"):
        EvenChannels("cost", model_kib=-1)
