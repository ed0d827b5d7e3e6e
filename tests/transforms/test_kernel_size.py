"""Kernels of another size on maps that keep theirs."""

import pytest
import torch
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2dSame
from torch import Tensor, nn

from workbench.errors import InputError, NotApplicable
from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.transforms import KernelSize

from ..graph.zoo import traced


@pytest.mark.parametrize("name", ["efficientnet_b0", "tf_efficientnet_b0", "mixnet_s", "convnext_atto"])
@pytest.mark.parametrize("size", [3, 9])
def test_every_kernel_with_a_middle_has_the_size(name, size, target):
    graph = traced(name, 64)
    edited = rewrite(graph, KernelSize(size).plan(graph, target))
    for old, new in zip(
        (op for op in graph.ops if op.kind != "pad"), (o for o in edited.ops if o.kind != "pad"), strict=True
    ):
        assert (old.kind, old.shape) == (new.kind, new.shape)
        if old.kind == "conv2d" and old["kernel"][0] > 1 and old["kernel"][0] % 2:
            assert new["kernel"] == (size, size)
            assert new.macs * old["kernel"][0] ** 2 == old.macs * size**2


def test_a_one_way_kernel_stays_one(target):
    graph = traced("inception_next_atto", 64)
    edited = rewrite(graph, KernelSize(5).plan(graph, target))
    assert {op["kernel"] for op in edited.ops if op.kind == "conv2d"} >= {(1, 5), (5, 1), (5, 5)}
    assert not any(11 in op["kernel"] for op in edited.ops if op.kind == "conv2d")


def test_standardised_weights_keep_their_layers(target):
    """Gained ones grow, gainless ones only shrink; fixed paddings of layers that could pad themselves follow."""
    for name, size in (("test_nfnet", 7), ("nf_resnet26", 3)):
        graph = traced(name, 64)
        edited = rewrite(graph, KernelSize(size).plan(graph, target))
        assert [op.shape for op in edited.ops] == [op.shape for op in graph.ops]
        kernels = [op["kernel"] for op in edited.ops if op.kind == "conv2d" and max(op["kernel"]) > 1]
        assert set(kernels) == {(size, size)}
    model = nn.Sequential(StdConv2dSame(3, 8, 7, stride=2), StdConv2dSame(8, 8, 5), ScaledStdConv2dSame(8, 8, 3))
    graph = trace(model, (3, 32, 32))
    edited = rewrite(graph, KernelSize(3).plan(graph, target))
    assert [op["padding"] for op in edited.ops if op.kind == "conv2d"] == [(0, 0), (1, 1), (1, 1)]
    edited = rewrite(graph, KernelSize(7, "2").plan(graph, target))
    assert edited.by_name[edited.outputs[0]]["padding"] == (3, 3)
    with pytest.raises(NotApplicable, match=r"1 can have no 7x7 kernel: .* without a gain.*size=5 is its largest"):
        KernelSize(7, "1").plan(graph, target)


def test_a_standardised_layer_called_twice_changes_in_both_places(target):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = ScaledStdConv2d(8, 8, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.act(self.conv(x)))

    model = Twice().eval()
    graph = trace(model, (8, 16, 16))
    plan = KernelSize(5, graph.blocks[0].name).plan(graph, target)
    assert [op["kernel"] for op in rewrite(graph, plan).ops if op.kind == "conv2d"] == [(5, 5)] * 2
    x = torch.randn(1, 8, 16, 16)
    torch.testing.assert_close(build(model, graph, [plan])(x), model(x), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_says_why(mobilenet, target):
    with pytest.raises(NotApplicable, match="has another spatial kernel than 3x3"):
        KernelSize(3).plan(mobilenet, target)
    with pytest.raises(NotApplicable, match=r"blocks\.1\.0 \(ibn\) has no other spatial kernel"):
        KernelSize(3, "blocks.1.0").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match="a 4x4 kernel has no middle"):
        KernelSize(3, "stem.0").plan(traced("convnext_atto", 64), target)


@pytest.mark.parametrize("size", [4, 1, 17, "3", True, 3.0])
def test_sizes_are_odd(size):
    with pytest.raises(InputError, match="must be odd and from 3 to 15"):
        KernelSize(size)
