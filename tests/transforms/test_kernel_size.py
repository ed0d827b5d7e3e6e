"""Kernels of another size on maps that keep theirs."""

import pytest

from workbench.errors import InputError, NotApplicable
from workbench.graph import rewrite
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
