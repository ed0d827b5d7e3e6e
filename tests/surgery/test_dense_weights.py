"""Fused blocks: exact where they can be, better than composing everywhere else."""

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import nn

from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.transforms import FuseIBN

from .conftest import smooth


def linear_model():
    """MobileNetV2 whose first bottlenecks have no activation that does anything on small values."""
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv2_050").eval()
    for block in model.blocks[1]:
        block.bn1.act, block.bn2.act = nn.LeakyReLU(1.0), nn.LeakyReLU(1.0)
    return model


def test_without_a_nonlinearity_composing_is_exact_inside_the_map(target):
    model = linear_model()
    graph = trace(model, (3, 64, 64))
    built = build(model, graph, [FuseIBN("blocks.1.0").plan(graph, target)])
    x = torch.randn(1, 8, 32, 32)
    old, new = model.blocks[1][0](x), built.blocks[1][0](x)
    torch.testing.assert_close(new[:, :, 1:-1, 1:-1], old[:, :, 1:-1, 1:-1], rtol=1e-3, atol=1e-5)


def test_stage_one_is_the_least_squares_solution(target):
    """conv_exp and bn1 against numpy's lstsq on explicit patches and the original's hidden values, in float64."""
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv2_050").eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.bias.normal_(0, 0.3)
    graph, images = trace(model, (3, 64, 64)), smooth(8, 64, seed=1)
    built = build(model, graph, [FuseIBN("blocks.1.0").plan(graph, target)], images)
    old, new = model.blocks[1][0], built.blocks[1][0]
    with torch.no_grad():
        x = capture(model, images, {"x": ("blocks.1.0", "input")})["x"]
        hidden = F.batch_norm(
            old.conv_dw(old.bn1(old.conv_pw(x))),
            old.bn2.running_mean,
            old.bn2.running_var,
            old.bn2.weight,
            old.bn2.bias,
        )
        fused = F.batch_norm(
            new.conv_exp(x), new.bn1.running_mean, new.bn1.running_var, new.bn1.weight, new.bn1.bias, eps=new.bn1.eps
        )
        columns = F.unfold(x.double(), 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1).numpy()
    expected = hidden.permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
    design = np.c_[columns, np.ones(len(columns))]
    solution, *_ = np.linalg.lstsq(design, expected, rcond=None)
    best = np.linalg.norm(design @ solution - expected)
    ours = np.linalg.norm(fused.permute(0, 2, 3, 1).flatten(0, 2).double().numpy() - expected)
    assert best < ours < 1.1 * best  # the ridge was chosen for images not fitted
    composed = build(model, graph, [FuseIBN("blocks.1.0").plan(graph, target)]).blocks[1][0]
    plain = composed.bn1(composed.conv_exp(x)).detach()
    kept = old.bn2.act(hidden)
    assert (new.bn1(new.conv_exp(x)) - kept).norm() < (plain - kept).norm()


def pre_residual(model, images, suffix):
    paths = [f"blocks.{s}.{i}" for s, stage in enumerate(model.blocks) for i in range(len(stage)) if s > 0]
    points = {path: (f"{path}.{suffix}", "output") for path in paths}
    return capture(model, images, points)


def test_least_squares_beats_composing_on_every_block(fused):
    """Held-out images, every block of MobileNetV2, output before the residual addition."""
    images = smooth(8, 64, seed=2)
    y = pre_residual(fused.original, images, "bn3")
    composed, fitted = (pre_residual(m, images, "bn2") for m in (fused.composed, fused.fitted))
    assert len(y) == 16
    for path, value in y.items():
        a, b = ((maps[path] - value).norm() / value.norm() for maps in (composed, fitted))
        assert b < a, path


def test_each_block_alone_is_better_too(fused):
    """The same, each fused block handed what the original block reads."""
    images = smooth(8, 64, seed=2)
    for path in pre_residual(fused.original, images[:1], "bn3"):
        x = capture(fused.original, images, {"x": (path, "input")})["x"]
        y, composed, fitted = (
            capture(model.get_submodule(path), x, {"y": (last, "output")})["y"]
            for model, last in ((fused.original, "bn3"), (fused.composed, "bn2"), (fused.fitted, "bn2"))
        )
        assert (fitted - y).norm() < (composed - y).norm(), path


def test_training_goes_on_from_the_fit(fused):
    """Batch statistics of the calibration images are the ones the norms hold: train() computes what eval() does."""
    images = smooth(32, 64, seed=1)
    block = fused.fitted.blocks[1][0]
    x = capture(fused.fitted, images, {"x": ("blocks.1.0", "input")})["x"]
    with torch.no_grad():
        still = block(x)
        before = {key: value.clone() for key, value in block.state_dict().items()}
        moving = block.train()(x)
        block.eval().load_state_dict(before)
    assert (moving - still).norm() < 0.05 * still.norm()  # the fit saw a sample of the pixels
