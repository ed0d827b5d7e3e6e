"""Blurs at stride 1: every second value is the old one, borders and all."""

import pytest
import torch
from timm.layers import BlurPool2d
from torch import nn

from workbench.errors import SurgeryError
from workbench.graph import Op, SetSpatial
from workbench.surgery.spatial import DilatedBlurPool2d, set_spatial

OP = Op("blur", "conv2d", ("x",), (1, 6, 8, 8), module="0")


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize("channels", [6, None])
@pytest.mark.parametrize("size", [3, 5])
def test_a_blur_at_stride_1(size, channels, mode):
    model = nn.Sequential(BlurPool2d(channels, size, pad_mode=mode)).double()
    x = torch.randn(2, 6, 17, 16).double()
    coarse = model(x)
    set_spatial(model, OP, SetSpatial("blur", stride=(1, 1)))
    assert type(model[0]) is BlurPool2d and model(x).shape == x.shape
    torch.testing.assert_close(model(x)[:, :, ::2, ::2], coarse)


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize("channels", [6, None])
@pytest.mark.parametrize("size", [3, 5])
def test_a_blur_of_pixels_that_stand_apart(size, channels, mode):
    """On a map of which every second pixel is the one the blur read before."""
    model = nn.Sequential(BlurPool2d(channels, size, pad_mode=mode)).double().eval()
    x = torch.randn(2, 6, 17, 21).double()
    coarse, keys = model(x[:, :, ::2, ::2]), set(model.state_dict())
    reach = 2 * (size // 2)
    set_spatial(model, OP, SetSpatial("blur", stride=(1, 1), dilation=(2, 2), padding=(reach, reach)))
    assert isinstance(model[0], DilatedBlurPool2d) and not model[0].training
    assert set(model.state_dict()) == keys and model(x).shape == x.shape
    torch.testing.assert_close(model(x)[:, :, ::4, ::4], coarse)
    set_spatial(model, OP, SetSpatial("blur", dilation=(1, 1), padding=(size // 2, size // 2)))
    plain = BlurPool2d(channels, size, stride=1, pad_mode=mode).double()
    torch.testing.assert_close(model(x), plain(x))


def test_layers_without_the_number_are_refused():
    with pytest.raises(SurgeryError, match="a BatchNorm2d has no stride that could be set"):
        set_spatial(nn.Sequential(nn.BatchNorm2d(6)), OP, SetSpatial("blur", stride=(1, 1)))
    with pytest.raises(SurgeryError, match="no layer is known that does the same"):
        set_spatial(nn.Sequential(BlurPool2d(6)), OP, SetSpatial("blur", same=True))
