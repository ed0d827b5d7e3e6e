"""Three measures of importance, against closed forms that tell them apart."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import UnknownName
from workbench.graph import Plan, Resize
from workbench.graph.trace import trace
from workbench.hardware import resolve
from workbench.surgery import build
from workbench.surgery.importance import importance
from workbench.transforms import DepthMultiplier, EvenChannels, ExpandRatio

from ..graph.networks import Residual
from ..graph.zoo import lively
from .conftest import smooth


class Two(nn.Module):
    """Three channels: large weights, a large norm scale, and one the output listens to."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3, eps=0.0)
        self.last = nn.Conv2d(3, 2, 1, bias=False)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)))


@pytest.fixture
def two():
    model = Two().eval().double()
    with torch.no_grad():
        model.conv.weight.copy_(torch.diag(torch.tensor([10.0, 1.0, 1.0]))[..., None, None])
        model.norm.weight.copy_(torch.tensor([1.0, 3.0, 1.0]))
        model.norm.running_var.copy_(torch.tensor([1.0, 4.0, 1.0]))
        model.last.weight.copy_(torch.tensor([[0.01, 0.1, 5.0], [0.01, 0.1, -4.0]])[..., None, None])
    return model


@pytest.mark.parametrize(("keep", "channel"), [("importance", 0), ("batch-norm", 1), ("taylor", 2)])
def test_each_measure_keeps_its_own_channel(two, keep, channel):
    graph = trace(two, (3, 8, 8))
    built = build(two, graph, [Plan((Resize("conv", 1, keep),))], torch.randn(4, 3, 8, 8).double())
    torch.testing.assert_close(built.conv.weight[0], two.conv.weight[channel])


def test_magnitude_and_norm_scales_are_what_the_formulas_say(two):
    graph = trace(two, (3, 8, 8))
    np.testing.assert_allclose(importance(two, graph, ["conv"])["conv"], [10, 1.5, 1])
    np.testing.assert_allclose(importance(two, graph, ["conv"], "batch-norm")["conv"], [1, 3, 1])


def test_taylor_is_equation_8_in_closed_form(two):
    """L = |y|^2 / 2 with y = sum_c last[:, c] h[c]: dL/dz_c = sum over pixels of h[c] last[:, c] . y."""
    images = torch.randn(5, 3, 8, 8).double()
    scores = importance(two, trace(two, (3, 8, 8)), ["conv"], "taylor", images)["conv"]
    conv, last = two.conv.weight[:, :, 0, 0].detach().numpy(), two.last.weight[:, :, 0, 0].detach().numpy()
    gain = (two.norm.weight / two.norm.running_var.sqrt()).detach().numpy()
    h = np.einsum("c,cd,ndhw->nchw", gain, conv, images.numpy())
    y = np.einsum("oc,nchw->nohw", last, h)
    expected = (np.einsum("nchw,oc,nohw->nc", h, last, y) ** 2).sum(0)
    np.testing.assert_allclose(scores, expected, rtol=1e-10)


def test_widths_shared_by_a_residual_sum_over_those_who_make_them():
    torch.manual_seed(0)
    model = Residual(trunk=8).eval()
    graph, images = trace(model, (3, 32, 32)), smooth(4, 32, seed=1)
    both = importance(model, graph, ["stem"], "taylor", images)["stem"]
    again = importance(model, graph, ["stem"], "taylor", images)["stem"]
    assert torch.equal(both, again) and (both > 0).all()
    with torch.no_grad():
        for layer in (model.stem, model.project, model.dense):
            layer.weight[3] = 0
            if layer.bias is not None:
                layer.bias[3] = 0
    if hasattr(model, "bn"):
        with torch.no_grad():
            model.bn.bias[3] = model.bn.running_mean[3] = 0
    silent = importance(model, graph, ["stem"], "taylor", images)["stem"]
    assert silent[3] <= silent.median()


def test_without_images_or_norms_magnitude_decides(two):
    graph = trace(two, (3, 8, 8))
    assert torch.equal(importance(two, graph, ["conv"], "taylor")["conv"], importance(two, graph, ["conv"])["conv"])
    bare = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    plain = trace(bare, (3, 8, 8))
    assert torch.equal(importance(bare, plain, ["0"], "batch-norm")["0"], importance(bare, plain, ["0"])["0"])


def test_models_come_back_as_they_were(two):
    two.conv.weight.requires_grad_(False)
    importance(two, trace(two, (3, 8, 8)), ["conv"], "taylor", torch.randn(2, 3, 8, 8).double())
    assert [p.requires_grad for p in two.parameters()] == [False, True, True, True]
    assert all(p.grad is None and not p._backward_hooks for p in two.parameters())


@pytest.mark.parametrize("measure", ["magnitude", "batch-norm", "taylor"])
def test_networks_are_narrowed_by_every_measure(measure):
    model, target = lively("mobilenetv2_050"), resolve("ethos-u65-512")
    graph, images = trace(model, (3, 64, 64)), smooth(4, 64, seed=1)
    for transform in (DepthMultiplier(0.75, importance=measure), ExpandRatio(3, importance=measure)):
        built = build(model, graph, [transform.plan(graph, target)], images)
        with torch.no_grad():
            assert built(images).isfinite().all()


def test_on_images_taylor_loses_less_than_keeping_what_matters_least():
    """The last layer in front of the pooling, halved: the outputs of what is kept stay nearer."""
    model = lively("mobilenetv2_050")
    graph, images = trace(model, (3, 64, 64)), smooth(16, 64, seed=1)
    ranked = importance(model, graph, ["conv_head"], "taylor", images)["conv_head"].argsort().tolist()
    half = len(ranked) // 2
    errors = []
    with torch.no_grad():
        y = model(smooth(8, 64, seed=2))
        for keep in ("taylor", tuple(sorted(ranked[:half]))):
            z = build(model, graph, [Plan((Resize("conv_head", half, keep),))], images)(smooth(8, 64, seed=2))
            errors.append(float((z - y).norm()))
    assert errors[0] < errors[1]


def test_an_unknown_measure_is_named_with_the_nearest():
    for transform in (EvenChannels, DepthMultiplier, ExpandRatio):
        with pytest.raises(UnknownName, match="batch-norm"):
            transform(importance="batchnorm")
