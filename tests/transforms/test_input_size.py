"""The graph at another size is the trace at that size."""

import pytest

from workbench.errors import InputError, NotApplicable
from workbench.graph import Plan, SetSpatial, rewrite
from workbench.graph.trace import trace
from workbench.surgery.compare import require_equal
from workbench.transforms import InputSize

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


@pytest.mark.parametrize("name", ["mobilevit_xxs", "tresnet_m", "davit_tiny", "efficientvit_m0", "test_coatnet"])
def test_what_is_written_for_one_size_is_refused(name, target):
    """Windows, tables of positions, space to depth: how they follow only the code knows."""
    size = 160 if name == "test_coatnet" else 64
    graph = traced(name, size)
    with pytest.raises(NotApplicable, match="written for"):
        rewrite(graph, InputSize(size + 64).plan(graph, target))


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
