"""ClusterWeights: which layers it takes, and how it goes with other steps."""

import pytest

from workbench.errors import NotApplicable
from workbench.graph import cluster, prune, rewrite
from workbench.transforms import ClusterWeights, DenseDepthwise, DepthMultiplier, FuseIBN, Sparsify

from ..graph.zoo import traced


def after(graph, target, *steps):
    for step in steps:
        graph = rewrite(graph, step.plan(graph, target))
    return graph


def schemes(graph):
    return {op.module: op["compress"] for op in graph.ops if op.get("compress")}


def test_every_layer(mobilenet, target):
    found = schemes(after(mobilenet, target, ClusterWeights(32)))
    assert found.keys() == {op.module for op in mobilenet.ops if op.kind in ("conv2d", "linear")}
    assert set(found.values()) == {(cluster(32),)}


def test_blocks_without_a_layer(target):
    graph = traced("nfnet_l0", 64)
    with pytest.raises(NotApplicable, match=r"stem\S* \(\w+\) has no convolution"):
        ClusterWeights(blocks=graph.blocks[0].name).plan(graph, target)


def test_it_adds_to_what_was_pruned(mobilenet, target):
    found = schemes(after(mobilenet, target, Sparsify(0.75, blocks="blocks.3.*"), ClusterWeights()))
    assert found["blocks.3.0.conv_pw"] == (prune(0.75), cluster(16))
    assert found["classifier"] == (cluster(16),)


@pytest.mark.parametrize("later", [DepthMultiplier(0.75), DenseDepthwise("blocks.2.*"), FuseIBN("blocks.2.*")])
def test_layers_stay_compressed_through_later_steps(mobilenet, target, later):
    edited = after(mobilenet, target, Sparsify(0.75), later)
    assert schemes(edited).keys() == {op.module for op in edited.ops if op.kind in ("conv2d", "linear")}
    assert set(schemes(edited).values()) == {(prune(0.75),)}


def test_a_fused_layer_is_as_its_dense_part_was(mobilenet, target):
    edited = after(mobilenet, target, Sparsify(pattern="2:4"), FuseIBN("blocks.2.*"))
    assert schemes(edited)["blocks.2.1.conv_exp"] == (prune(0.5, "2:4"),)
