"""A finer grid: every so many of its values are the old ones."""

import copy

import pytest
import torch

from workbench.errors import InputError, NotApplicable
from workbench.graph import rewrite
from workbench.surgery import build
from workbench.transforms import OutputStride

from ..graph.zoo import lively, traced


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18", "tf_efficientnet_b0", "regnetx_004"])
@pytest.mark.parametrize("stride", [8, 16])
def test_the_last_map_has_the_stride(name, stride, target):
    graph = traced(name, 64)
    edited = rewrite(graph, OutputStride(stride).plan(graph, target))
    last = [op for op in edited.ops if op.kind == "conv2d" and max(op.shape[2:]) > 1][-1]
    assert last.shape[2:] == (64 // stride, 64 // stride)
    assert edited.params == graph.params


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_inside_the_map_every_second_value_is_the_old_one(name, target):
    """What the weights mean stays (borders see more zeros)."""
    model, graph = copy.deepcopy(lively(name)).double(), traced(name, 64)
    fine = build(model, graph, [OutputStride(16).plan(graph, target)])
    x = torch.zeros(1, 3, 512, 512, dtype=torch.float64)
    x[:, :, 128:384, 128:384] = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, z = model.forward_features(x), fine.forward_features(x)
    assert z.shape[2] == 2 * y.shape[2]
    torch.testing.assert_close(z[:, :, ::2, ::2][:, :, 7:9, 7:9], y[:, :, 7:9, 7:9])


def test_feature_info_follows(target):
    graph = traced("mobilenetv2_100", 64)
    built = build(lively("mobilenetv2_100"), graph, [OutputStride(8).plan(graph, target)])
    assert [row["reduction"] for row in built.feature_info] == [2, 4, 8, 8, 8]


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match="output stride is 32 already"):
        OutputStride(32).plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="window padded"):
        OutputStride(16).plan(traced("convnext_atto", 64), target)
    with pytest.raises(InputError, match="stride is 12"):
        OutputStride(12)
