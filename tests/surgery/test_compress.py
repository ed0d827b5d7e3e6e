"""Built modules have the zeros and the shared values that were planned, and nothing else changed."""

import copy
from functools import reduce

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import NotApplicable, SurgeryError
from workbench.graph import Compress, Plan, compressed, prune, rewrite
from workbench.graph.trace import trace
from workbench.hardware.folded_constants import FoldedConstants
from workbench.hardware.lowering import lower
from workbench.surgery import build
from workbench.transforms import ClusterWeights, DenseDepthwise, DepthMultiplier, EvenChannels, FuseIBN, Sparsify

from ..graph.networks import Residual, Tied
from ..graph.zoo import lively, traced
from .conftest import smooth


def arrays(model):
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def edited(name, target, *steps, calibration=None):
    model, graph, plans = lively(name), traced(name, 64), []
    for step in steps:
        plans.append(step.plan(graph, target))
        graph = rewrite(graph, plans[-1])
    return build(model, traced(name, 64), plans, calibration), graph


def codes(weight):
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    scale = np.abs(flat).max(axis=1, keepdims=True) / 127
    return np.rint(flat / np.where(scale > 0, scale, 1))


@pytest.mark.parametrize(
    "steps",
    [
        (Sparsify(0.75),),
        (Sparsify(pattern="2:4"),),
        (Sparsify(0.3, "structured"),),
        (ClusterWeights(16),),
        (Sparsify(0.75, blocks="blocks.*"), ClusterWeights(8)),
    ],
    ids=str,
)
def test_planned_layers_are_compressed_and_no_others(steps, target):
    built, graph = edited("mobilenetv2_100", target, *steps)
    was, now = arrays(lively("mobilenetv2_100")), arrays(built)
    schemes = {op.param("weight").name: op["compress"] for op in graph.ops if op.get("compress")}
    assert schemes
    for name, value in was.items():
        expected = reduce(compressed, schemes.get(name, ()), value)
        assert np.array_equal(now[name], expected), name
    again = trace(built, (3, 64, 64))
    assert (again.macs, again.params) == (graph.macs, graph.params)


def test_what_is_deployed_is_what_was_built(target):
    """The constants of the compressed graph on the old weights, against the built module's own folded ones."""
    built, graph = edited("mobilenetv2_100", target, Sparsify(0.6), ClusterWeights(16))
    was = arrays(lively("mobilenetv2_100"))
    constants = FoldedConstants(graph, lambda name, shape: was.get(name))
    layers = [op for op in lower(graph) if op.weight is not None]
    assert len(layers) == 53
    for op in layers:
        conv = graph.by_name[op.folds[0]]
        weight = built.get_submodule(conv.module).weight.detach().double().numpy()
        norm = next((graph.by_name[n] for n in op.folds if graph.by_name[n].kind == "batch_norm"), None)
        if norm is not None:
            bn = built.get_submodule(norm.module)
            gain = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
            weight = weight * gain.numpy().reshape(-1, *[1] * (weight.ndim - 1))
        deployed = constants.layer(op)[0]
        np.testing.assert_allclose(deployed, weight, rtol=1e-6)
        assert np.array_equal(deployed == 0, weight == 0)
        assert len(np.unique(codes(deployed))) <= 16


def test_untrained_networks_are_compressed_too(target):
    graph = rewrite(g := traced("mobilenetv2_100", 64), ClusterWeights(5).plan(g, target))
    constants = FoldedConstants(graph, None)
    assert all(len(np.unique(codes(constants.layer(op)[0]))) == 5 for op in lower(graph) if op.weight is not None)


@pytest.mark.parametrize(
    "later",
    [DepthMultiplier(0.75), EvenChannels("up", 24), DenseDepthwise("blocks.[12].*"), FuseIBN("blocks.[12].*")],
    ids=str,
)
def test_later_steps_leave_them_compressed(later, target):
    built, graph = edited("mobilenetv2_100", target, Sparsify(0.75), ClusterWeights(16), later)
    now = arrays(built)
    for op in graph.ops:
        if op.get("compress"):
            weight = now[op.param("weight").name]
            assert (weight == 0).mean() >= min(0.75, 1 - len(weight) / weight.size) - 1 / weight.size, op.module
            assert len(np.unique(codes(weight))) <= 16


def test_blocks_fitted_after_pruning_are_pruned(target):
    built, _ = edited(
        "mobilenetv2_100", target, Sparsify(0.5), FuseIBN("blocks.1.0"), calibration=smooth(4, 64, seed=1)
    )
    assert (built.blocks[1][0].conv_exp.weight == 0).float().mean() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_type_and_gradients_stay(dtype, target):
    torch.manual_seed(0)
    model = Residual().to(dtype).eval()
    model.stem.weight.requires_grad_(False)
    graph = trace(model, (3, 32, 32))
    built = build(model, graph, [Sparsify(0.5).plan(graph, target)])
    assert {p.dtype for p in built.parameters()} == {dtype}
    assert [p.requires_grad for p in built.parameters()] == [p.requires_grad for p in model.parameters()]
    kept = built.dense.weight != 0
    assert torch.equal(built.dense.weight[kept], model.dense.weight[kept])
    assert kept.float().mean() == pytest.approx(0.5, abs=1e-2)
    built.train()(torch.randn(2, 3, 32, 32, dtype=dtype)).sum().backward()


def test_shared_weights_stay_shared(target):
    torch.manual_seed(0)
    model = Tied().eval()
    graph = trace(model, (3, 16, 16))
    plan = ClusterWeights(4).plan(graph, target)
    assert len(plan.edits) == 2
    built = build(model, graph, [plan])
    assert built.first.weight is built.second.weight
    for layer in (built.first, built.twice):
        assert len(np.unique(codes(layer.weight.detach().numpy()))) <= 4
    assert not torch.equal(model.first.weight, built.first.weight)


def test_standardised_weights_are_left_alone(target):
    """Zeros of the parameter would be none in the weight that is computed of it."""
    model, graph = lively("nfnet_l0"), traced("nfnet_l0", 64)
    built = build(model, graph, [Sparsify(0.5).plan(graph, target)])
    assert torch.equal(built.stem.conv1.weight, model.stem.conv1.weight)
    assert (built.head.fc.weight == 0).float().mean() == pytest.approx(0.5, abs=1e-3)
    stem = next(op.name for op in graph.ops if op.module == "stem.conv1")
    with pytest.raises(NotApplicable, match="computed"):
        build(model, graph, [Plan((Compress(stem, prune(0.5)),))])


def test_a_module_without_the_weight_is_refused():
    """A graph of another module."""
    model = Residual().eval()
    graph = trace(model, (3, 32, 32))
    other = copy.deepcopy(model)
    other.expand = nn.Identity()
    expand = next(op.name for op in graph.ops if op.module == "expand")
    with pytest.raises(SurgeryError, match="expand: the module keeps no weight that could be compressed"):
        build(other, graph, [Plan((Compress(expand, prune(0.5)),))])
