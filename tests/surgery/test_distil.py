"""Blockwise distillation: never worse than where it starts, the same bits each time, nothing else touched."""

import copy

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import InputError
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.surgery.distil import distil
from workbench.transforms import FuseIBN, KernelSize

from ..graph.zoo import lively
from .conftest import smooth


def block_error(model, original, path, images):
    y, z = (capture(m, images, {"y": (path, "output")})["y"] for m in (original, model))
    return float((z - y).norm() / y.norm())


@pytest.mark.parametrize("path", ["blocks.1.0", "blocks.2.1"])  # the second has a residual
def test_a_distilled_block_is_nearer_to_the_original_on_images_it_never_saw(fused, path):
    student, unseen = copy.deepcopy(fused.fitted), smooth(8, 64, seed=9)
    was = block_error(student, fused.original, path, unseen)
    kept = distil(student, fused.original, path, smooth(48, 64, seed=2), steps=80)
    assert kept < 1
    assert block_error(student, fused.original, path, unseen) < was


def test_a_linear_block_reaches_the_least_squares_solution():
    """One convolution without anything behind it: the optimum is numpy's, here zero error."""
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3, bias=True)).eval()
    student = nn.Sequential(nn.Conv2d(3, 4, 3, bias=True)).eval()
    images = torch.randn(16, 3, 12, 12)
    assert distil(student, teacher, "0", images, steps=1500) < 1e-3
    torch.testing.assert_close(student[0].weight, teacher[0].weight, atol=0.02, rtol=0.05)


def test_what_cannot_improve_stays_as_it_was_and_nothing_else_moves(fused):
    student = copy.deepcopy(fused.original)
    student.blocks[1][0].conv_pw.weight.requires_grad_(False)
    before = copy.deepcopy(student.state_dict())
    assert distil(student, fused.original, "blocks.1.0", smooth(4, 64, seed=3), steps=5) == 1
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())
    assert not student.blocks[1][0].conv_pw.weight.requires_grad
    assert all(p.grad is None for p in student.parameters())


def test_no_steps_change_nothing(fused):
    student = copy.deepcopy(fused.fitted)
    assert distil(student, fused.original, "blocks.2.1", smooth(8, 64, seed=2), steps=0) == 1
    assert all(torch.equal(value, fused.fitted.state_dict()[key]) for key, value in student.state_dict().items())


def test_statistics_of_norms_and_other_blocks_keep_their_bits(fused):
    student = copy.deepcopy(fused.fitted)
    distil(student, fused.original, "blocks.2.1", smooth(8, 64, seed=2), steps=10)
    for key, value in student.state_dict().items():
        if not key.startswith("blocks.2.1.") or "running" in key:
            assert torch.equal(value, fused.fitted.state_dict()[key]), key


def test_the_same_call_gives_the_same_bits_and_tells_how_far_it_is(target):
    model = lively("mobilenetv2_050")
    graph = trace(model, (3, 64, 64))
    plans = [FuseIBN("blocks.1.*").plan(graph, target)]
    heard: list[tuple[str, int, int]] = []
    first, second = (
        build(model, graph, plans, smooth(6, 64, seed=1), 20, lambda *call: heard.append(call)) for _ in range(2)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert [call for call in heard if call[1] == 20][:2] == [("blocks.1.0", 20, 20), ("blocks.1.1", 20, 20)]


def test_other_fitted_layers_are_distilled_within_their_block(target):
    model = lively("efficientnet_b0")
    graph = trace(model, (3, 64, 64))
    plans = [KernelSize(3, "blocks.2.0").plan(graph, target)]
    images, unseen = smooth(48, 64, seed=1), smooth(8, 64, seed=5)
    fitted, distilled = (build(model, graph, plans, images, steps) for steps in (0, 80))
    assert block_error(distilled, model, "blocks.2.0", unseen) < block_error(fitted, model, "blocks.2.0", unseen)


def test_sessions_ask_for_steps_and_images():
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64)).apply(FuseIBN("blocks.1.0"))
    with pytest.raises(InputError, match="distil=10 learns from images"):
        session.build(distil=10)
    with pytest.raises(InputError, match="whole number of steps, 0 or more"):
        session.build(smooth(2, 64, seed=1), distil=-1)
    images = smooth(8, 64, seed=1)
    table = session.fidelity(smooth(4, 64, seed=2), images, distil=30).set_index("name")
    plain = session.fidelity(smooth(4, 64, seed=2), images).set_index("name")
    assert table.relative_error["blocks.1.0"] < plain.relative_error["blocks.1.0"]
    assert table.cosine["blocks.1.0"] > plain.cosine["blocks.1.0"]
