"""The graph at another size is the trace at that size."""

from dataclasses import replace

import pytest
import timm

from workbench.errors import InputError, NotApplicable
from workbench.graph import Plan, SetSpatial, rewrite
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.conformance import require_equal
from workbench.transforms import (
    DropBlock,
    EvenChannels,
    FuseIBN,
    InputSize,
    KernelSize,
    ReplaceActivation,
    Transform,
)

from ..graph.zoo import lively, traced


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_b0", "mixnet_s", "rexnet_100", "hrnet_w18_small"])
def test_equals_traced_at_that_size(name, target):
    graph = traced(name, 64)
    require_equal(rewrite(graph, InputSize(96).plan(graph, target)), traced(name, 96))


@pytest.mark.parametrize(
    "name",
    [
        "efficientvit_b0",  # flattens maps and unflattens them again
        "shvit_s1",  # a map of one pixel grows
        "nextvit_small",  # pools flattened maps
        "fastvit_t8",
        "pvt_v2_b0",
        "test_efficientnet_evos",  # expands statistics to a map
        "resnetv2_50d_frn",
    ],
)
@pytest.mark.parametrize("size", [(128, 128), (96, 160)])
def test_attention_and_reshapes_follow(name, size, target):
    """Height and width apart, so that neither stands for the other."""
    graph = traced(name, 64)
    require_equal(rewrite(graph, InputSize(*size).plan(graph, target)), trace(lively(name), (3, *size)))


@pytest.mark.parametrize(
    "name",
    [
        "mobilevit_xxs",  # patches
        "tresnet_m",  # pixels become channels
        "davit_tiny",  # windows, padded where they do not divide the map
        "efficientvit_m0",  # windows of the whole map until it is larger than one
        "edgenext_xx_small",  # positions computed on the way
        "crossvit_9_dagger_240",  # brings images to the sizes it was made for
        "efficientnet_cc_b0_4e",  # kernels mixed for each image
    ],
)
@pytest.mark.parametrize("size", [(128, 128), (96, 160)])
def test_what_only_the_code_knows_follows(name, size, target):
    graph = traced(name, 64)
    require_equal(rewrite(graph, InputSize(*size).plan(graph, target)), trace(lively(name), (3, *size)))


@pytest.mark.parametrize("size", [(96, 160), (128, 128)])
def test_edits_made_before_stay(size, target):
    """The same graph whichever comes first, and the one of the module that is built."""
    model, graph = lively("mobilevit_xxs"), traced("mobilevit_xxs", 64)
    first: list[Transform] = [FuseIBN("stages.0.*"), EvenChannels("up", 24), ReplaceActivation("relu6"), KernelSize(5)]
    other, before = InputSize(*size), graph
    for transform in first:
        before = rewrite(before, transform.plan(before, target))
    plan = other.plan(before, target)
    after = rewrite(before, plan)
    then = rewrite(graph, plan)
    for transform in first:
        then = rewrite(then, transform.plan(then, target))
    require_equal(after, then)
    assert after.inputs[0].shape == (1, 3, *size)
    plans, now = [], graph
    for transform in (*first, other, DropBlock("stages.1.2")):
        plans.append(transform.plan(now, target))
        now = rewrite(now, plans[-1])
    build(model, graph, plans)  # compares with what was planned


def test_sizes_follow_one_another(target):
    graph = traced("mobilevit_xxs", 64)
    larger = rewrite(graph, InputSize(128).plan(graph, target))
    require_equal(rewrite(larger, InputSize(64).plan(larger, target)), graph)


@pytest.mark.parametrize(("name", "size"), [("test_coatnet", 160), ("levit_128s", 224), ("visformer_tiny", 224)])
def test_networks_made_for_one_size_are_refused(name, size, target):
    graph = traced(name, size)
    with pytest.raises(NotApplicable, match=r"and the network does not run on images of 128 x 128$"):
        rewrite(graph, InputSize(128).plan(graph, target))


def test_a_graph_without_its_network_goes_by_the_rules_alone(target):
    follows, not_alone = (replace(traced(name, 64), origin=None) for name in ("pvt_v2_b0", "tresnet_m"))
    require_equal(rewrite(follows, InputSize(128).plan(follows, target)), traced("pvt_v2_b0", 128))
    with pytest.raises(NotApplicable, match=r"its reshape to .* is written for one input size$"):
        rewrite(not_alone, InputSize(128).plan(not_alone, target))


def test_edits_that_do_not_fit_the_network_at_that_size_are_refused(target):
    """A block that pads its windows at one size alone."""
    graph = traced("davit_tiny", 224)
    dropped = rewrite(graph, DropBlock("stages.1.blocks.0.0").plan(graph, target))
    with pytest.raises(NotApplicable, match="the edits before do not fit the network at 96 x 96"):
        rewrite(dropped, InputSize(96).plan(dropped, target))


def test_the_module_may_change_or_go_afterwards(target):
    """The graph says what the module was when it was traced, at other sizes too."""
    model = timm.create_model("mobilevit_xxs").eval()
    graph, there = trace(model, (3, 64, 64)), trace(model, (3, 96, 96))
    model.stem.conv.stride = (1, 1)
    assert trace(model, (3, 96, 96)) != there
    del model
    assert rewrite(graph, InputSize(96).plan(graph, target)) == there


def test_padding_like_tensorflows_comes_and_goes(target):
    """At odd sizes other layers need padding."""
    graph = traced("tf_efficientnet_b0", 64)
    for size in ((65, 83), (71, 64)):
        again = trace(lively("tf_efficientnet_b0"), (3, *size))
        require_equal(rewrite(graph, InputSize(*size).plan(graph, target)), again)


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match="already reads images of 64 x 64"):
        InputSize(64).plan(mobilenet, target)
    with pytest.raises(InputError, match="height is 8; it must be a whole number of pixels"):
        InputSize(8)
    with pytest.raises(InputError, match="width is 0"):
        InputSize(64, 0)


def test_expansions_that_did_not_change_are_shared():
    """An estimate after an edit looks at what is another object."""
    graph = traced("test_efficientnet_evos", 64)
    last = [op for op in graph.ops if op.kind == "conv2d" and max(op["stride"]) > 1][-1]
    edited = rewrite(graph, Plan((SetSpatial(last.name, stride=(1, 1)),)))
    first = next(op for op in edited.ops if op.kind == "expand")
    assert first is graph.by_name[first.name]
