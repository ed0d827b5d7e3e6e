"""Narrowed widths: bases that change nothing, channels chosen and readers refitted as brute force would."""

from itertools import combinations

import pytest
import torch
from torch import nn

from workbench.graph import Plan, Resize
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.counterparts import carry_out_reconstructing
from workbench.surgery.reconstruction import reconstruct
from workbench.transforms import DepthMultiplier

from ..graph.zoo import lively
from .conftest import smooth


class Three(nn.Module):
    """Six channels behind an activation, two of them nearly what others make together, read by one layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU()
        self.last = nn.Conv2d(6, 4, 1)

    def forward(self, x):
        return self.last(self.act(self.norm(self.conv(x))))


class Normed(Three):
    """The same, with a norm in the place of the reader's bias."""

    def __init__(self):
        super().__init__()
        self.last = nn.Sequential(nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4))


def three(normed=False):
    torch.manual_seed(0)
    model = (Normed if normed else Three)().eval().double()
    with torch.no_grad():
        model.conv.weight[4] = 0.5 * model.conv.weight[0] + 0.3 * model.conv.weight[1]
        (model.last[0] if normed else model.last).weight[:, 5] *= 0.2
    return model


def least_squares_error(features, wanted, keep):
    """Of the best layer that reads these channels alone, by numpy's route through torch."""
    x = torch.cat([features[:, list(keep)], torch.ones(len(features), 1, dtype=features.dtype)], 1)
    return float((x @ torch.linalg.lstsq(x, wanted).solution - wanted).square().sum())


@pytest.mark.parametrize("width", [5, 4])
@pytest.mark.parametrize("normed", [False, True])
def test_the_channels_that_stay_are_those_from_which_the_reader_is_rebuilt_best(width, normed):
    model, images = three(normed), smooth(16, 12, seed=1).double()
    graph = trace(model, (3, 12, 12))
    with torch.no_grad():
        features = model.act(model.norm(model.conv(images))).movedim(1, -1).flatten(0, 2)
        wanted = model.last(model.act(model.norm(model.conv(images)))).movedim(1, -1).flatten(0, 2)
    error_of = {keep: least_squares_error(features, wanted, keep) for keep in combinations(range(6), width)}
    edited = three(normed)
    (edit,) = reconstruct(edited, graph, [Resize("conv", width)], images).edits
    assert error_of[edit.keep] <= 1.05 * min(error_of.values())
    built = build(edited, graph, [Plan((edit,))])
    with torch.no_grad():
        error = float((built(images).movedim(1, -1).flatten(0, 2) - wanted).square().sum())
    assert error < 1.1 * error_of[edit.keep]  # the bias, or the mean of the norm behind, takes what is constant


def test_another_basis_of_linear_bottlenecks_leaves_the_function_as_it_is():
    model = lively("mobilenetv2_050")
    graph, images = trace(model, (3, 64, 64)), smooth(16, 64, seed=1)
    edits = [
        Resize(name, 8) for name in ("blocks.2.0.conv_pwl", "blocks.3.0.conv_pwl")
    ]  # stages of two and four blocks, with additions
    turned = build(model, graph, [])
    fitted = reconstruct(turned, graph, edits, images)
    assert sorted(fitted.bases) == [edit.segment for edit in edits]
    assert [edit.keep for edit in fitted.edits] == [tuple(range(8))] * 2
    unseen = smooth(4, 64, seed=2)
    with torch.no_grad():
        torch.testing.assert_close(turned(unseen), model(unseen), rtol=1e-3, atol=1e-3)
    assert not torch.equal(turned.blocks[2][0].conv_pwl.weight, model.blocks[2][0].conv_pwl.weight)


def test_narrowed_widths_are_nearer_to_the_network_before_than_cut_ones(target):
    model = lively("mobilenetv2_050")
    graph, images = trace(model, (3, 64, 64)), smooth(48, 64, seed=1)
    plans = [DepthMultiplier(0.75).plan(graph, target)]
    cut, kept = build(model, graph, plans, images), carry_out_reconstructing(model, graph, plans, images).module
    unseen = smooth(16, 64, seed=2)
    with torch.no_grad():
        y = model(unseen)
        errors = [float((net(unseen) - y).norm() / (y - y.mean(0)).norm()) for net in (kept, cut)]
    assert errors[0] < 0.8 * errors[1]


def test_channels_named_by_the_caller_stay(target):
    model = lively("mobilenetv2_050")
    graph, images = trace(model, (3, 64, 64)), smooth(8, 64, seed=1)
    plan = Plan((Resize("blocks.3.0.conv_pwl", 16, tuple(range(16, 32))),))
    edited = carry_out_reconstructing(model, graph, [plan], images)
    built = build(model, graph, [plan], images)
    torch.testing.assert_close(
        edited.module.blocks[3][0].conv_pwl.weight, built.blocks[3][0].conv_pwl.weight, rtol=0, atol=0
    )
