"""A block's loss by itself is what the block does inside the network."""

import pytest
import torch

from workbench.graph import rewrite
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.surgery.losses import Losses, textured
from workbench.transforms import DenseDepthwise, DepthMultiplier, DropBlock, ExpandRatio, FuseIBN, KernelSize, RemoveSE

from ..graph.zoo import lively, traced
from .conftest import smooth

NAME = "efficientnet_b0"


@pytest.fixture(scope="module")
def losses():
    return Losses(lively(NAME), traced(NAME, 64), smooth(4, 64, seed=1))


@pytest.mark.parametrize(
    "step",
    [ExpandRatio(3, "blocks.2.1"), KernelSize(3, "blocks.2.1"), RemoveSE("blocks.2.1"), FuseIBN("blocks.2.1"),
     DropBlock("blocks.2.1"), DenseDepthwise("blocks.2.1")],
    ids=lambda step: type(step).__name__,
)  # fmt: skip
def test_a_block_alone_is_the_block_inside(losses, step, target):
    plan = step.plan(losses.graph, target)
    built = build(losses.model, losses.graph, [plan], losses.images)
    y, z = (capture(m, losses.images, {"y": ("blocks.2.1", "output")})["y"] for m in (losses.model, built))
    expected = float((z - y).norm() / y.norm())
    assert losses.of([plan], "blocks.2.1") == pytest.approx(expected, rel=0.02, abs=1e-6)


def test_several_steps_on_one_block(losses, target):
    graph, plans = losses.graph, []
    for step in (RemoveSE("blocks.3.1"), FuseIBN("blocks.3.1"), ExpandRatio(3, "blocks.3.1")):
        plans.append(step.plan(graph, target))
        graph = rewrite(graph, plans[-1])
    built = build(losses.model, losses.graph, plans, losses.images)
    y, z = (capture(m, losses.images, {"y": ("blocks.3.1", "output")})["y"] for m in (losses.model, built))
    assert losses.of(plans, "blocks.3.1") == pytest.approx(float((z - y).norm() / y.norm()), rel=0.02)


def test_what_reaches_beyond_a_block_is_the_networks(losses, target):
    plan = DepthMultiplier(0.75, "blocks.3.*").plan(losses.graph, target)
    built = build(losses.model, losses.graph, [plan], losses.images)
    with torch.no_grad():
        y, z = losses.model(losses.images), built(losses.images)
    expected = float((z - y).norm() / y.norm())
    assert losses.of([plan]) == pytest.approx(expected, rel=1e-3)
    assert losses.of([plan], "blocks.3.1") == losses.of([plan])


def test_the_model_is_untouched(losses, target):
    before = {key: value.clone() for key, value in losses.model.state_dict().items()}
    losses.of([RemoveSE("blocks.2.1").plan(losses.graph, target)], "blocks.2.1")
    assert all(torch.equal(value, before[key]) for key, value in losses.model.state_dict().items())


def test_textured_images_are_rough_and_the_same_each_time():
    images = textured(3, (3, 64, 48))
    assert images.shape == (3, 3, 64, 48)
    assert torch.equal(images, textured(3, (3, 64, 48)))
    spectrum = torch.fft.rfft2(images).abs().mean((0, 1))
    assert spectrum[1:4, 1:4].mean() > 5 * spectrum[12:20, 12:20].mean()
    neighbours = (images[..., 1:] * images[..., :-1]).mean() / images.square().mean()
    assert neighbours > 0.7
