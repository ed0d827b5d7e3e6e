"""Standardised kernels of another size, against the formula they are defined by."""

import copy

import pytest
import torch
import torch.nn.functional as F
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn

from workbench.surgery import build
from workbench.surgery.kernels import centred, patches
from workbench.surgery.standardised_kernels import set_kernel, standardises
from workbench.transforms import KernelSize

from ..graph.zoo import lively, traced
from .conftest import smooth

GAINED, PLAIN = (ScaledStdConv2d, ScaledStdConv2dSame), (StdConv2d, StdConv2dSame)


def layer(cls, kernel, groups=1, stride=1):
    torch.manual_seed(1)
    options = {"gamma": 1.7} if cls in GAINED else {}
    conv = cls(6, 12, kernel, stride=stride, groups=groups, bias=True, **options)
    with torch.no_grad():
        conv.weight.normal_(0.1, 0.02)
        if cls in GAINED:
            conv.gain.normal_()
            conv.gain[3] = 0
    return conv


def kernel_of(conv):
    """g gamma (w - mean) / sqrt(N (variance + eps)), in float64."""
    w = conv.weight.detach().double().flatten(1)
    w = (w - w.mean(1, keepdim=True)) / (w.var(1, correction=0, keepdim=True) + conv.eps).sqrt()
    if hasattr(conv, "gain"):
        w = w * conv.gain.detach().double().flatten(1) * 1.7 / w.shape[1] ** 0.5
    return w.view_as(conv.weight)


def resized(conv, size, images=None):
    model = nn.Sequential(copy.deepcopy(conv))
    set_kernel(model, "0", (size, size), images)
    model[0].kernel_size = (size, size)
    return model[0]


@pytest.mark.parametrize("cls", GAINED + PLAIN)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_formula_is_that_of_the_layer(cls, stride):
    conv = layer(cls, 3, stride=stride).double()
    assert standardises(conv) and not standardises(nn.Conv2d(1, 1, 1))
    x = torch.randn(1, 6, 9, 9).double()
    rows = patches(x, conv, (3, 3)) @ kernel_of(conv).flatten(1).T + conv.bias
    torch.testing.assert_close(conv(x).permute(0, 2, 3, 1).flatten(0, 2), rows, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", GAINED)
@pytest.mark.parametrize("groups", [1, 3])
def test_a_larger_kernel_is_the_old_one_in_zeros(cls, groups):
    conv = layer(cls, 3, groups).double()
    large = resized(conv, 7)
    torch.testing.assert_close(kernel_of(large), F.pad(kernel_of(conv), (2, 2, 2, 2)), rtol=1e-12, atol=1e-14)
    assert large.scale == pytest.approx(cls(6, 12, 7, groups=groups, gamma=1.7).scale)
    # weights stay where they were: only the gain makes up for the zeros
    torch.testing.assert_close(centred(large.weight, (3, 3)), conv.weight - conv.weight.mean((1, 2, 3), keepdim=True))


@pytest.mark.parametrize("cls", GAINED + PLAIN)
def test_without_images_the_middle_less_its_mean_is_left(cls):
    conv = layer(cls, 5).double()
    small = kernel_of(resized(conv, 3)).flatten(1)
    middle = centred(kernel_of(conv), (3, 3)).flatten(1)
    middle -= middle.mean(1, keepdim=True)
    if cls in GAINED:
        torch.testing.assert_close(small, middle, rtol=1e-10, atol=1e-14)
    else:
        torch.testing.assert_close(F.cosine_similarity(small, middle), torch.ones(12).double())


@pytest.mark.parametrize(("cls", "stride"), [(c, s) for c in GAINED + PLAIN for s in (1, 2)])
@pytest.mark.parametrize("groups", [1, 3])
def test_on_images_it_is_the_best_of_mean_zero(cls, stride, groups):
    """Against float64 least squares in a basis of the kernels whose mean is 0, on all positions."""
    conv = layer(cls, 5, groups, stride)
    images = smooth(8, 17, seed=3).repeat(1, 2, 1, 1)
    images = images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    fitted = kernel_of(resized(conv, 3, images)).flatten(1)
    u = (conv(images) - conv.bias[:, None, None]).detach().double().permute(0, 2, 3, 1).flatten(0, 2)
    x = patches(images, conv, (3, 3)).double()
    taps = x.shape[1] // groups
    basis = torch.linalg.svd(torch.ones(1, taps).double()).Vh[1:].T
    for g in range(groups):
        share = slice(g * 12 // groups, (g + 1) * 12 // groups)
        solved = torch.linalg.lstsq(x[:, g * taps : (g + 1) * taps] @ basis, u[:, share]).solution
        expected, got = (basis @ solved).T, fitted[share]
        if cls in GAINED:
            assert (got - expected).norm() / expected.norm() < 0.05
        else:
            assert F.cosine_similarity(got, expected).min() > 0.998


def test_a_channel_whose_gain_is_zero_stays_silent():
    for images in (None, smooth(2, 16, seed=1).repeat(1, 2, 1, 1)):
        for size in (3, 9):
            conv = resized(layer(ScaledStdConv2d, 5), size, images if size == 3 else None)
            assert conv.weight.isfinite().all() and conv.gain.isfinite().all()
            assert not kernel_of(conv)[3].any()
            assert conv.weight[3].std() > 0


def test_a_network_with_larger_kernels_does_the_same(target):
    model, graph = lively("test_nfnet"), traced("test_nfnet", 64)
    built = build(model, graph, [KernelSize(7).plan(graph, target)])
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        y, z = (copy.deepcopy(m).double()(x) for m in (model, built))
    assert (z - y).norm() / y.norm() < 1e-6


def test_images_choose_the_smaller_kernels_of_a_network(target):
    """On what the network computes, the stem's kernel fitted on images is nearer than the middle of the old one."""
    model, graph, images = lively("nf_resnet26"), traced("nf_resnet26", 64), smooth(8, 64, seed=1)
    plan = KernelSize(3).plan(graph, target)
    with torch.no_grad():
        expected = model.stem.conv(images)
        cut, fitted = (build(model, graph, [plan], calibration).stem.conv(images) for calibration in (None, images))
    assert (fitted - expected).norm() < 0.9 * (cut - expected).norm()
