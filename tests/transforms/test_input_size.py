"""The graph at another size is the trace at that size."""

import pytest

from workbench.errors import InputError, NotApplicable
from workbench.graph import rewrite
from workbench.surgery.compare import require_equal
from workbench.transforms import InputSize

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_b0", "mixnet_s", "rexnet_100", "hrnet_w18_small"])
def test_equals_traced_at_that_size(name, target):
    graph = traced(name, 64)
    require_equal(rewrite(graph, InputSize(96).plan(graph, target)), traced(name, 96))


def test_padding_like_tensorflows_comes_and_goes(target):
    """At odd sizes other layers need padding."""
    from workbench.graph.trace import trace

    from ..graph.zoo import lively

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
