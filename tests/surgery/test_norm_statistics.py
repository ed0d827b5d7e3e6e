"""Batch norms behind narrowed layers see what they were trained on."""

import torch

from workbench.graph import Plan, Resize
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.surgery.build import mirrored
from workbench.transforms import DepthMultiplier

from ..graph.networks import Residual
from ..graph.zoo import lively, traced
from .conftest import smooth


def test_normalised_values_keep_their_moments(target):
    """After the correction every channel that stays has the mean and variance behind its norm that it had before."""
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    images = smooth(16, 64, seed=1)
    plan = DepthMultiplier(0.5, "blocks.2.*").plan(graph, target)
    built = build(model, graph, [plan], images)
    points = {"y": ("blocks.3.0.bn1", "input")}
    was, now = (capture(m, mirrored(images, graph), points)["y"] for m in (model, built))

    def normalised(net, y):
        norm = net.get_submodule("blocks.3.0.bn1")
        z = (y - norm.running_mean[:, None, None]) / (norm.running_var + norm.eps).sqrt()[:, None, None]
        return z.mean((0, 2, 3)), z.var((0, 2, 3))

    for a, b in zip(normalised(model, was), normalised(built, now), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_widening_leaves_the_statistics_alone():
    torch.manual_seed(0)
    model = Residual().eval()
    graph = trace(model, (3, 32, 32))
    built = build(model, graph, [Plan((Resize("stem", 24),))], torch.randn(4, 3, 32, 32))
    assert torch.equal(built.bn.running_var[:16], model.bn.running_var)
