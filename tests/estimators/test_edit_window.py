"""An edit's effect from the window around it is the difference of the whole estimates."""

import pytest

from workbench.estimators.cycle_model import modelled
from workbench.estimators.edit_window import changed, cut, delta_cycles
from workbench.graph import rewrite
from workbench.hardware import EthosU
from workbench.transforms import DenseDepthwise, FuseIBN

from ..graph.zoo import traced


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize("edit", [FuseIBN("blocks.1.1"), FuseIBN("blocks.2.1"), DenseDepthwise("blocks.3.1")])
@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0"])
def test_one_block(name, edit, target):
    target, before = EthosU(target), traced(name, 224)
    after = rewrite(before, edit.plan(before, target))
    whole = sum(modelled(before, target).cycles)
    difference = sum(modelled(after, target).cycles) - whole
    assert delta_cycles(before, after, target) == pytest.approx(difference, abs=0.005 * whole)


def test_no_change_costs_nothing():
    graph = traced("mobilenetv2_100", 96)
    assert delta_cycles(graph, graph, EthosU("ethos-u65-512")) == 0


def test_a_window_is_a_network_of_its_own():
    before = traced("mobilenetv2_100", 96)
    after = rewrite(before, FuseIBN("blocks.2.1").plan(before, EthosU("ethos-u65-512")))
    first, end_before, end_after = changed(before, after)
    assert 0 < first < end_after < end_before < len(before.ops)
    part = cut(after, first, end_after)
    names = {op.name for op in part.ops}
    assert all(name in names for op in part.ops for name in op.inputs)
    assert part.outputs
