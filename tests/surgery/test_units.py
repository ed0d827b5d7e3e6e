"""Blocks refitted and distilled in their order: nearer to the network before the edits, the same each time."""

import copy

import pytest
import torch

from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.activations import capture
from workbench.surgery.counterparts import Edited, carry_out_reconstructing
from workbench.surgery.distil_units import distil_units
from workbench.surgery.refit_units import refit_units
from workbench.surgery.units import matched_points, units
from workbench.transforms import DepthMultiplier, DropBlock, FuseIBN, InputSize

from ..graph.zoo import lively
from .conftest import smooth

SIDE = 48


@pytest.fixture(scope="module")
def network():
    model = lively("mobilenetv2_050")
    return model, trace(model, (3, SIDE, SIDE))


def planned(graph, target, *transforms):
    from workbench.graph import rewrite

    plans = []
    for transform in transforms:
        plans.append(transform.plan(graph, target))
        graph = rewrite(graph, plans[-1])
    return plans


def error(model, edited, images):
    with torch.no_grad():
        y = model(images)
        return float((edited(images) - y).norm() / (y - y.mean(0)).norm())


def test_each_stage_brings_a_narrowed_and_fused_network_nearer(network, target):
    model, graph = network
    plans = planned(graph, target, FuseIBN("blocks.2.*"), DepthMultiplier(0.75))
    images, unseen = smooth(32, SIDE, seed=1), smooth(8, SIDE, seed=2)
    cut = build(model, graph, plans, images)
    edited = carry_out_reconstructing(model, graph, plans, images)
    refit_units(model, graph, edited, (images, images))
    errors = [error(model, cut, unseen), error(model, edited.module, unseen)]
    heard = []
    distil_units(model, graph, edited, (images, images), 12, lambda *call: heard.append(call))
    errors.append(error(model, edited.module, unseen))
    assert errors == sorted(errors, reverse=True) and errors[1] < 0.7 * errors[0]
    assert heard[-1][1] == heard[-1][2] == len(units(graph, edited))


def test_interrupted_and_gone_on_with_it_ends_with_the_same_weights(network, target):
    model, graph = network
    plans = planned(graph, target, DepthMultiplier(0.75, "blocks.1.*"))
    images = smooth(8, SIDE, seed=1)

    def fitted():
        edited = carry_out_reconstructing(model, graph, plans, images)
        refit_units(model, graph, edited, (images, images))
        return edited

    whole, begun = fitted(), fitted()
    assert all(
        torch.equal(a, b) for a, b in zip(*(e.module.state_dict().values() for e in (whole, begun)), strict=True)
    )
    distil_units(model, graph, whole, (images, images), 5)

    class Stop(Exception):
        pass

    kept = {}

    def stop(number):
        kept["units"], kept["state"] = number, copy.deepcopy(begun.module.state_dict())
        if number == 2:
            raise Stop

    with pytest.raises(Stop):
        distil_units(model, graph, begun, (images, images), 5, done=stop)
    again = build(model, graph, plans)
    again.load_state_dict(kept["state"])
    resumed = Edited(again, begun.graph, begun.counterparts)
    distil_units(model, graph, resumed, (images, images), 5, start=kept["units"])
    assert all(
        torch.equal(a, b) for a, b in zip(*(e.module.state_dict().values() for e in (whole, resumed)), strict=True)
    )


def test_the_block_before_a_dropped_one_does_its_work_too(network, target):
    model, graph = network
    plans = planned(graph, target, DropBlock("blocks.3.2"))
    images, unseen = smooth(32, SIDE, seed=1), smooth(8, SIDE, seed=2)
    edited = carry_out_reconstructing(model, graph, plans, images)
    (double,) = [unit for unit in units(graph, edited) if len(unit.whole) > 1]
    assert double.path == "blocks.3.1" and double.whole == ("blocks.3.1", "blocks.3.2") and double.changed
    errors = []
    for stage in (lambda: None, lambda: refit_units(model, graph, edited, (images, images))):
        stage()
        z = capture(edited.module, unseen, {"y": ("blocks.3.1", "output")})["y"]
        y = capture(model, unseen, {"y": ("blocks.3.2", "output")})["y"]
        errors.append(float((z - y).norm() / (y - y.mean(0)).norm()))
    assert errors[1] < 0.8 * errors[0]


def test_maps_of_another_input_size_are_resized(network, target):
    model, graph = network
    plans = planned(graph, target, InputSize(32), FuseIBN("blocks.2.1"))
    large, small = smooth(16, SIDE, seed=1), torch.nn.functional.interpolate(smooth(16, SIDE, seed=1), 32)
    edited = carry_out_reconstructing(model, graph, plans, small)
    refit_units(model, graph, edited, (large, small))
    distil_units(model, graph, edited, (large, small), 5)
    assert ("blocks.2.1", "blocks.2.1", None) in matched_points(graph, edited)
    with torch.no_grad():
        assert edited.module(small).isfinite().all()
