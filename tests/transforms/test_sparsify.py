"""Sparsify: which layers it takes, which it passes over, and why."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import prune, rewrite
from workbench.graph.trace import trace
from workbench.transforms import Sparsify

from ..graph.networks import Tied
from ..graph.zoo import traced


def pruned(graph, transform, target):
    return {op.module: op["compress"] for op in rewrite(graph, transform.plan(graph, target)).ops if op.get("compress")}


def layers(graph):
    return {op.module for op in graph.ops if op.kind in ("conv2d", "linear")}


def test_every_layer_depthwise_and_classifier_included(mobilenet, target):
    found = pruned(mobilenet, Sparsify(0.75), target)
    assert found.keys() == layers(mobilenet)
    assert set(found.values()) == {(prune(0.75),)}


def test_two_in_four_wants_four_inputs(mobilenet, target):
    found = pruned(mobilenet, Sparsify(pattern="2:4"), target)
    dense = {op.module for op in mobilenet.ops if op.kind in ("conv2d", "linear") and not op.is_depthwise}
    assert dense - found.keys() == {"conv_stem"}  # three input channels
    assert found.keys() <= dense


def test_channels_of_dense_layers_only(mobilenet, target):
    found = pruned(mobilenet, Sparsify(pattern="structured"), target)
    depthwise = {op.module for op in mobilenet.ops if op.kind == "conv2d" and op.is_depthwise}
    assert found.keys() == layers(mobilenet) - depthwise
    grouped = traced("regnetx_004", 64)
    assert pruned(grouped, Sparsify(pattern="structured"), target).keys() == layers(grouped)
    assert "s1.b1.conv2.conv" in pruned(grouped, Sparsify(pattern="2:4"), target)  # 16 inputs a group


def test_selected_blocks_only(mobilenet, target):
    found = pruned(mobilenet, Sparsify(blocks="blocks.2.*"), target)
    assert found.keys() == {name for name in layers(mobilenet) if name.startswith("blocks.2.")}


def test_blocks_without_such_a_layer(mobilenet, target):
    with pytest.raises(NotApplicable, match=r"conv_stem \(conv\) has no layer .* at least 4 input channels a group"):
        Sparsify(pattern="2:4", blocks="conv_stem").plan(mobilenet, target)
    with pytest.raises(NotApplicable, match=r"conv_stem \(conv\) has no layer"):
        Sparsify(pattern="2:4", blocks="conv_stem, blocks.*").plan(mobilenet, target)
    assert Sparsify(pattern="2:4", blocks="conv_*").plan(mobilenet, target)  # a pattern passes it over


def test_computed_and_fixed_weights_stay(target):
    standardised = traced("nfnet_l0", 64)
    found = pruned(standardised, Sparsify(), target)
    assert "head.fc" in found
    assert not any("conv1" in name for name in found)
    assert not any(name.startswith("stem") for name in found)
    stem = next(block.name for block in standardised.blocks)
    with pytest.raises(NotApplicable, match="has no convolution or fully connected layer with a weight of its own"):
        Sparsify(blocks=stem).plan(standardised, target)
    assert not any(name.endswith("aa") for name in pruned(traced("resnetblur50", 64), Sparsify(), target))


def test_shared_weights_are_named_once(target):
    graph = trace(Tied().eval(), (3, 16, 16))
    edits = Sparsify().plan(graph, target).edits
    assert len({graph.by_name[edit.op].param("weight").name for edit in edits}) == len(edits) == 2
    assert len([op for op in rewrite(graph, Sparsify().plan(graph, target)).ops if op.get("compress")]) == 4
