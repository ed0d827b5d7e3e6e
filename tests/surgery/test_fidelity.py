"""Errors against figures computed by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.graph import rewrite
from workbench.surgery import build, fidelity
from workbench.surgery.activations import capture
from workbench.transforms import EvenChannels, InputSize

from ..graph.zoo import lively, traced
from .conftest import smooth


def test_errors_are_those_of_the_running_networks(fused):
    images = smooth(11, 64, seed=2)  # more than one batch of them
    table = fidelity(fused.original, fused.fitted, fused.graph, fused.planned, images).set_index("name")
    assert list(table.index)[:-1] == [block.name for block in fused.graph.blocks]
    assert table.relative_error["conv_stem"] == table.relative_error["blocks.0.0"] == 0
    for path in ("blocks.1.0", "blocks.2.1"):
        y, z = (capture(m, images, {"y": (path, "output")})["y"] for m in (fused.original, fused.fitted))
        assert table.relative_error[path] == pytest.approx(float((z - y).norm() / y.norm()), rel=1e-4)
        flat, edited = y.double().flatten(1).numpy(), z.double().flatten(1).numpy()
        cosines = (flat * edited).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(edited, axis=1)
        assert table.cosine[path] == pytest.approx(cosines.mean(), rel=1e-5)
    with torch.no_grad():
        y, z = fused.original(images), fused.fitted(images)
    assert table.relative_error["network"] == pytest.approx(float((z - y).norm() / y.norm()), rel=1e-4)
    assert table.top1_agreement["network"] == float((y.argmax(1) == z.argmax(1)).float().mean())
    assert (table.note == "").all()


def test_changed_widths_are_said_not_hidden(target):
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    plan = EvenChannels("up", 32, "blocks.1.1").plan(graph, target)
    table = fidelity(model, build(model, graph, [plan]), graph, rewrite(graph, plan), smooth(2, 64, 1)).set_index(
        "name"
    )
    assert math.isnan(table.relative_error["blocks.1.1"])
    assert "24x16x16 to 32x16x16" in table.note["blocks.1.1"]
    assert table.relative_error["network"] < 1e-5
    assert table.top1_agreement["network"] == 1


def test_a_network_of_another_input_size_sees_the_same_images_resized(target):
    model, graph = lively("mobilenetv2_100"), traced("mobilenetv2_100", 64)
    plan = InputSize(96).plan(graph, target)
    images = smooth(3, 96, 1)
    table = fidelity(model, build(model, graph, [plan]), graph, rewrite(graph, plan), images).set_index("name")
    assert "32x32x32 to 32x48x48" in table.note["conv_stem"]
    with torch.no_grad():
        y = model(F.interpolate(images, size=(64, 64), mode="bilinear", antialias=True))
        z = model(images)
    assert table.relative_error["network"] == pytest.approx(float((z - y).norm() / y.norm()), rel=1e-4)


def test_models_come_back_in_the_mode_they_were_in(fused):
    fused.fitted.blocks[1].train()
    try:
        fidelity(fused.original, fused.fitted, fused.graph, fused.planned, smooth(1, 64, seed=2))
        assert fused.fitted.blocks[1].training
        assert not fused.fitted.blocks[2].training
    finally:
        fused.fitted.eval()
