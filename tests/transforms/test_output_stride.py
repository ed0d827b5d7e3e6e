"""A finer grid: every so many of its values are the old ones."""

import copy

import pytest
import torch
from timm.layers import BlurPool2d, StdConv2dSame
from torch import Tensor, nn

from workbench.errors import InputError, NotApplicable
from workbench.graph import Plan, SetSpatial, rewrite
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.transforms import OutputStride

from ..graph.zoo import lively, traced

NETWORKS = (
    "mobilenetv2_100", "resnet18", "tf_efficientnet_b0", "regnetx_004", "convnext_atto", "mambaout_femto",
    "resnetblur18", "skresnet18",
)  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stride", [8, 16])
def test_the_last_map_has_the_stride(name, stride, target):
    graph = traced(name, 64)
    edited = rewrite(graph, OutputStride(stride).plan(graph, target))
    last = [op for op in edited.ops if op.kind == "conv2d" and max(op.shape[2:]) > 1][-1]
    assert last.shape[2:] == (64 // stride, 64 // stride)
    assert edited.params == graph.params


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("mobilenetv2_100", 16),
        ("resnet18", 16),
        ("resnet18d", 16),
        ("convnext_atto", 16),
        ("resnetblur18", 16),
        ("resnetblur18", 8),
    ],
)
def test_inside_the_map_every_so_many_values_are_the_old_ones(name, stride, target):
    """What the weights mean stays (borders see more zeros)."""
    model, graph = copy.deepcopy(lively(name)).double(), traced(name, 64)
    fine, rate = build(model, graph, [OutputStride(stride).plan(graph, target)]), 32 // stride
    x = torch.zeros(1, 3, 512, 512, dtype=torch.float64)
    x[:, :, 128:384, 128:384] = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, z = model.forward_features(x), fine.forward_features(x)
    assert z.shape[2] == rate * y.shape[2]
    torch.testing.assert_close(z[:, :, ::rate, ::rate][:, :, 7:9, 7:9], y[:, :, 7:9, 7:9])


def assert_every_second_value_stays(model, size, target):
    """Borders included: the network is built so that its finer map holds the old one at every second pixel."""
    model = model.double().eval()
    graph = trace(model, (3, *size))
    fine = build(model, graph, [OutputStride(2).plan(graph, target)])
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(fine(x)[:, :, ::2, ::2], model(x))


def test_channels_that_stand_in_groups_keep_the_grid(target):
    """Split attention sums parts of a map in five dimensions; what follows stands as far apart as before."""

    class Parts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            parts = x.reshape(x.shape[0], 2, x.shape[1] // 2, *x.shape[2:])
            return (parts * parts.mean((1, 2), keepdim=True)).sum(1)

    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), Parts(), nn.Conv2d(4, 8, 3, 2, 1), Parts(), nn.Conv2d(4, 8, 3, padding=1)
    )
    assert_every_second_value_stays(model, (64, 64), target)


def test_flat_maps_keep_the_grid(target):
    """EfficientViM mixes channels on [N, C, H W] and convolves what it makes of it, a map again."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.dw = nn.Conv1d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)

        def forward(self, x: Tensor) -> Tensor:
            return self.dw(torch.relu(self.mix(x.flatten(2))).unflatten(2, x.shape[2:]))

    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), Flat())
    assert_every_second_value_stays(model, (48, 64), target)


def test_where_the_map_is_lost_nothing_is_guessed(target):
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dw = nn.Conv2d(8, 8, 3, padding=1, groups=8)

        def forward(self, x: Tensor) -> Tensor:
            return self.dw(x.flatten(2).mT.relu().mT.unflatten(2, x.shape[2:]))

    graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), Tokens()), (3, 64, 64))
    with pytest.raises(NotApplicable, match=r"2\.dw can have no other stride or dilation"):
        OutputStride(2).plan(graph, target)


def test_fixed_paddings_of_layers_that_could_pad_themselves_grow(target):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), StdConv2dSame(8, 8, 3)).double().eval()
    graph = trace(model, (3, 64, 64))
    fine = build(model, graph, [OutputStride(2).plan(graph, target)])
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(fine(x)[:, :, ::2, ::2], model(x))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2), nn.MaxPool2d(2)])
def test_windows_that_shrink_a_map_are_padded(pool, target):
    """A window that begins at its first pixel stands a pixel further on in a map padded on both sides."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), copy.deepcopy(pool), nn.Conv2d(8, 8, 3, padding=1)).double().eval()
    graph = trace(model, (3, 64, 64))
    fine = build(model, graph, [OutputStride(2).plan(graph, target)])
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, z = model(x), fine(x)
    assert z.shape[2:] == (32, 32)
    shift = (pool.kernel_size - 1) // 2
    torch.testing.assert_close(z[:, :, shift::2, shift::2][:, :, 2:13, 2:13], y[:, :, 2:13, 2:13])


def test_a_dilated_max_pool_sees_the_values_it_saw(target):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(5, 1, 2), nn.Conv2d(8, 8, 1)).double().eval()
    graph = trace(model, (3, 64, 64))
    plan = Plan((SetSpatial("conv2d", stride=(1, 1)), SetSpatial("max_pool2d", dilation=(2, 2), same=True)))
    fine = build(model, graph, [plan])
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(fine(x)[:, :, ::2, ::2], model(x))


def test_feature_info_follows(target):
    graph = traced("mobilenetv2_100", 64)
    built = build(lively("mobilenetv2_100"), graph, [OutputStride(8).plan(graph, target)])
    assert [row["reduction"] for row in built.feature_info] == [2, 4, 8, 8, 8]
    graph = traced("efficientvim_m1_dist", 64)
    built = build(lively("efficientvim_m1_dist"), graph, [OutputStride(16).plan(graph, target)])
    assert [row["reduction"] for row in built.feature_info] == [16, 16, 16]


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match="output stride is 32 already"):
        OutputStride(32).plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="average over pixels that stand apart"):
        OutputStride(8).plan(traced("resnet18d", 64), target)
    with pytest.raises(NotApplicable, match="no longer stand pixel on pixel"):
        OutputStride(8).plan(traced("dla46_c", 64), target)
    with pytest.raises(NotApplicable, match="can have no other stride or dilation: behind a reshape"):
        OutputStride(16).plan(traced("tresnet_m", 64), target)
    with pytest.raises(NotApplicable, match="cannot be 2: strides go whole, which makes it 1"):
        OutputStride(2).plan(trace(nn.Conv2d(3, 8, 4, 4), (3, 64, 64)), target)
    even = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), BlurPool2d(8, filt_size=4))
    with pytest.raises(NotApplicable, match="no layer does what the conv2d of BlurPool2d does"):
        OutputStride(2).plan(trace(even, (3, 64, 64)), target)
    with pytest.raises(InputError, match="stride is 12"):
        OutputStride(12)
