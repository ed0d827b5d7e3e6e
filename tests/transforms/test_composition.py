"""Transforms one after another: each is planned on what the ones before it left, and errors say where one failed."""

import pytest

from workbench.errors import NotApplicable, UnknownName
from workbench.graph import rewrite
from workbench.transforms import DepthMultiplier, DropBlock, FuseIBN, KernelSize, compose


def test_each_step_is_planned_on_the_graph_before_it(mobilenet, target):
    transforms = (FuseIBN("blocks.1.1"), DepthMultiplier(0.75), DropBlock("blocks.1.1"))
    steps = compose(transforms, mobilenet, target)
    graph = mobilenet
    for step, transform in zip(steps, transforms, strict=True):
        plan = transform.plan(graph, target)
        graph = rewrite(graph, plan)
        assert (step.transform, step.plan, step.planned_on) == (transform, plan, target)
        assert step.graph == graph
    assert compose((), mobilenet, target) == ()


def test_the_error_of_one_transform_stays_as_it_is(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"^blocks.0.0 \(depthwise-separable\) cannot be fused: "):
        compose([FuseIBN("blocks.0.0")], mobilenet, target)


def test_the_error_of_several_names_the_step_and_those_before_it(mobilenet, target):
    steps = (DropBlock("blocks.1.1"), DepthMultiplier(0.75), KernelSize(5, "blocks.1.1"))
    words = (
        r"^step 3, KernelSize\(size=5, blocks='blocks.1.1'\): after DropBlock\(blocks='blocks.1.1'\), "
        r"DepthMultiplier\(\), unknown block pattern 'blocks.1.1'; the nearest is"
    )
    with pytest.raises(UnknownName, match=words) as caught:
        compose(steps, mobilenet, target)
    assert isinstance(caught.value.__cause__, UnknownName)
    with pytest.raises(NotApplicable, match=r"^step 1, FuseIBN\(blocks='blocks.0.0'\): blocks.0.0 \(depth"):
        compose([FuseIBN("blocks.0.0"), DepthMultiplier(0.75)], mobilenet, target)


def test_the_error_of_a_recipe_names_it(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"^step 1 of recipe 'mine', FuseIBN\(blocks='blocks.0.0'\): blocks.0.0"):
        compose([FuseIBN("blocks.0.0")], mobilenet, target, "mine")
    words = r"^step 2 of recipe 'mine', FuseIBN\(blocks='blocks.0.0'\): after KernelSize\(size=5\), blocks.0.0"
    with pytest.raises(NotApplicable, match=words):
        compose([KernelSize(5), FuseIBN("blocks.0.0")], mobilenet, target, "mine")
