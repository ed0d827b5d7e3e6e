"""A block alone is the block inside its network: its graph, its weights, what it computes."""

import pytest
import torch

from workbench.graph import rewrite
from workbench.graph.trace import trace
from workbench.surgery import build
from workbench.surgery.block_network import BlockModule, block_activations, block_networks
from workbench.surgery.carry_out import carry_out
from workbench.surgery.conformance import require_equal
from workbench.transforms import DenseDepthwise, ExpandRatio, FuseIBN

from ..graph.zoo import lively, traced
from .conftest import smooth

NAMES = ("efficientnet_b0", "resnet18", "ghostnet_100", "convnext_atto")


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_alone_is_the_trace_of_the_module_alone(name):
    model, graph = lively(name), traced(name, 64)
    networks = block_networks(graph)
    assert len(networks) >= 8
    for network in list(networks.values())[::3]:
        module = network.module(model).eval()
        require_equal(network.graph, trace(module, network.graph.inputs[0].shape[1:]))
        assert network.graph.params == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_block_alone_computes_what_it_does_inside(name):
    model, graph, images = lively(name), traced(name, 64), smooth(2, 64, seed=1)
    networks = block_networks(graph)
    maps = block_activations(model, networks, images)
    assert maps.keys() == networks.keys()
    with torch.no_grad():
        for path, network in networks.items():
            assert torch.equal(network.module(model).eval()(maps[path].reads.clone()), maps[path].makes)
            assert maps[path].reads.shape[1:] == network.graph.inputs[0].shape[1:]


def test_layers_that_are_no_module_of_their_own_are_no_network():
    graph = traced("efficientnet_b0", 64)
    assert "conv_stem" in {block.name for block in graph.blocks}
    assert block_networks(graph).keys() == {b.name for b in graph.blocks if b.name.startswith("blocks.")}


@pytest.mark.parametrize("step", [FuseIBN("blocks.2.1"), DenseDepthwise("blocks.2.1"), ExpandRatio(3, "blocks.2.1")])
def test_a_plan_for_the_block_inside_is_one_for_the_block_alone(step, target):
    model, graph = lively("efficientnet_b0"), traced("efficientnet_b0", 64)
    network = block_networks(graph)["blocks.2.1"]
    plan = step.plan(graph, target)
    module = network.module(model).eval()
    planned = carry_out(module, network.graph, [plan], None)
    require_equal(rewrite(network.graph, plan), planned)
    state = build(model, graph, [plan]).state_dict()
    edited = module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in edited.items())
    assert edited.keys() == {key for key in state if key.startswith("blocks.2.1.")}


def test_the_network_is_untouched():
    model, graph = lively("resnet18"), traced("resnet18", 64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    module = block_networks(graph)["layer2.0"].module(model)
    assert isinstance(module, BlockModule)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
