"""Kernels that change their size, or become dense."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import create_conv2d
from torch import nn

import workbench as wb
from workbench.surgery.kernels import centred, embed, fit_kernel, patches

from .conftest import smooth


@pytest.mark.parametrize("multiplier", [1, 2])
def test_embedded_kernels_do_the_same(multiplier):
    x, weight = torch.randn(2, 6, 9, 9), torch.randn(6 * multiplier, 1, 3, 3)
    depthwise = F.conv2d(x, weight, padding=1, groups=6)
    torch.testing.assert_close(F.conv2d(x, embed(weight, 6), padding=1), depthwise, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "same"), [(3, 1, 1, False), (5, 2, 1, False), (3, 2, 2, True)]
)
def test_patches_are_what_the_convolution_multiplies(kernel, stride, dilation, same):
    conv = create_conv2d(4, 7, kernel, stride=stride, dilation=dilation, padding="same" if same else "")
    x = torch.randn(2, 4, 15, 15)
    y = conv(x)
    rows = patches(x, conv, conv.kernel_size) @ conv.weight.flatten(1).T
    torch.testing.assert_close(rows, y.permute(0, 2, 3, 1).flatten(0, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("words", "kernel", "dilation"), [("same", 3, 1), ("same", (5, 3), 2), ("valid", 4, 1)])
def test_patches_of_a_padding_in_words(words, kernel, dilation):
    conv = nn.Conv2d(4, 7, kernel, dilation=dilation, padding=words, bias=False)
    x = torch.randn(2, 4, 15, 15)
    rows = patches(x, conv, conv.kernel_size) @ conv.weight.flatten(1).T
    torch.testing.assert_close(rows, conv(x).permute(0, 2, 3, 1).flatten(0, 2), rtol=1e-4, atol=1e-5)


def test_kernels_padded_in_words_are_fitted():
    """ConvMixer pads so."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 5, padding="same", groups=8), nn.Conv2d(8, 4, 1))
    images = smooth(4, 24, seed=3)
    built = wb.open(net.eval(), input_size=(3, 24, 24)).apply(wb.KernelSize(3)).build(images)
    assert built[1].weight.shape == (8, 1, 3, 3) and built(images).shape == (4, 4, 12, 12)


def layer(groups, kernel, stride=1, same=False):
    torch.manual_seed(1)
    return create_conv2d(6, 12, kernel, stride=stride, groups=groups, padding="same" if same else "", bias=True)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_larger_kernel_does_the_same(groups):
    small, large = layer(groups, 3), layer(groups, 7)
    x = torch.randn(2, 6, 12, 12)
    large.weight.data, large.bias = centred(small.weight, (7, 7)), small.bias
    torch.testing.assert_close(large(x), small(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("groups", "stride", "same"), [(1, 1, False), (2, 2, False), (6, 2, True), (6, 1, False)])
def test_the_best_kernel_is_that_of_lstsq(groups, stride, same):
    """Against float64 least squares on all positions, one group at a time."""
    conv = layer(groups, 5, stride, same)
    images = F.interpolate(smooth(8, 32, seed=3), scale_factor=0.6).repeat(1, 2, 1, 1)[:, :, :17, :17]
    images = images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    kernel = fit_kernel(nn.Sequential(conv), "0", (3, 3), images)
    u = (conv(images) - conv.bias[:, None, None]).detach().double().permute(0, 2, 3, 1).flatten(0, 2)
    x = patches(images, conv, (3, 3)).double()
    taps = x.shape[1] // groups
    for g in range(groups):
        share = slice(g * 12 // groups, (g + 1) * 12 // groups)
        expected = torch.linalg.lstsq(x[:, g * taps : (g + 1) * taps], u[:, share]).solution
        assert (kernel[share].flatten(1).double() - expected.T).norm() / expected.norm() < 0.05


def test_a_kernel_that_has_nothing_outside_is_found_again():
    conv = layer(2, 5)
    conv.weight.data = centred(centred(conv.weight, (3, 3)), (5, 5))
    kernel = fit_kernel(nn.Sequential(conv), "0", (3, 3), torch.randn(4, 6, 16, 16))
    torch.testing.assert_close(kernel, centred(conv.weight, (3, 3)), rtol=1e-3, atol=1e-4)
