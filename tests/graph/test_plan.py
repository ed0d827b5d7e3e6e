"""Edits say what they are, and refuse what they cannot be when they are made."""

from typing import get_args

import pytest

from workbench.errors import InputError, UnknownName
from workbench.graph import (
    Edit,
    ExchangeLayer,
    FuseLayers,
    Op,
    Plan,
    RemoveModule,
    ReplaceBlock,
    rewrite,
)
from workbench.graph.rewrite import _RULES
from workbench.hardware import resolve
from workbench.transforms import DropBlock, FuseIBN, KernelSize, RemoveSE

from .zoo import traced

TARGET = resolve("ethos-u65-512")
CONV = Op("conv", "conv2d", ("x",), (1, 8, 4, 4))


@pytest.mark.parametrize(
    ("make", "nearest"),
    [
        (lambda: ReplaceBlock("b", "c", ("a",), (CONV,), "composed"), "compose"),  # type: ignore[arg-type]
        (lambda: FuseLayers(("a",), (CONV,), "c", "random"), "compose"),  # type: ignore[arg-type]
        (lambda: ExchangeLayer("a", CONV, "least squares"), "least-squares"),  # type: ignore[arg-type]
        (lambda: RemoveModule("b", ("a",), "identical"), "identity"),  # type: ignore[arg-type]
    ],
)
def test_each_edit_has_its_own_initialisers(make, nearest):
    with pytest.raises(UnknownName, match=rf"unknown initialiser .*; the nearest is '{nearest}'"):
        make()


def test_an_edit_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"ops is \(\)"):
        RemoveModule("b", ())
    with pytest.raises(InputError, match=r"new_ops is \(\), in the place of 'a'; RemoveModule"):
        FuseLayers(("a",), (), "c")
    with pytest.raises(InputError, match=r"new_ops is \(\), in the place of 'a'; RemoveModule"):
        ReplaceBlock("b", "c", ("a",), ())


def test_every_edit_has_its_rule():
    assert set(_RULES) == set(get_args(Edit))


def test_neighbours_of_several_classes_are_what_one_after_the_other_is():
    graph = traced("efficientnet_b0", 64)
    edits = [
        edit
        for step in (
            FuseIBN("blocks.2.1"),
            KernelSize(3, "blocks.4.1"),
            DropBlock("blocks.3.1"),
            RemoveSE("blocks.5.1"),
        )
        for edit in step.plan(graph, TARGET).edits
    ]
    assert {type(edit) for edit in edits} == {ReplaceBlock, ExchangeLayer, RemoveModule}
    in_turn = graph
    for edit in edits:
        in_turn = rewrite(in_turn, Plan((edit,)))
    assert rewrite(graph, Plan(tuple(edits))) == in_turn


def test_transforms_plan_one_class_of_edit_for_each_thing_they_do():
    def classes(name, step):
        return {type(edit) for edit in step.plan(traced(name, 64), TARGET).edits}

    assert classes("mobilenetv2_100", FuseIBN()) == {ReplaceBlock}
    assert classes("rexnet_100", FuseIBN("features.3")) == {FuseLayers}
    assert classes("efficientnet_b0", RemoveSE()) == classes("resnet18", DropBlock()) == {RemoveModule}
    assert classes("efficientnet_b0", KernelSize(3)) == {ExchangeLayer}
