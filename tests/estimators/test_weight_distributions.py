"""Distributions of compressed weights, and what the compiler makes of such networks."""

import copy
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.estimators import weight_values
from workbench.estimators.cycle_model import modelled
from workbench.estimators.edit_window import delta_cycles
from workbench.estimators.weight_distributions import NORMAL
from workbench.graph import cluster, compressed, prune, rewrite
from workbench.hardware import resolve
from workbench.hardware.weight_values import parameter_values

from ..graph.zoo import lively, traced

SIZE = (3, 96, 96)
STEPS = {
    "pruned": (wb.Sparsify(0.75),),
    "2:4": (wb.Sparsify(pattern="2:4"),),
    "structured": (wb.Sparsify(0.5, "structured"),),
    "clustered": (wb.ClusterWeights(16),),
    "both": (wb.Sparsify(0.75), wb.ClusterWeights(16)),
}


def heavy(name):
    """A model whose weights are not normal, and whose batch norms turn signs."""
    model = copy.deepcopy(lively(name))
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.dim() > 1:
                drawn = generator.standard_t(3, tuple(value.shape)) * (2 / value[0].numel()) ** 0.5
                value.copy_(torch.from_numpy(drawn))
            elif key.endswith("weight"):
                value.mul_(torch.from_numpy(generator.choice([-1.0, 1.0], len(value))))
    return model


@pytest.fixture(scope="module", params=["ethos-u55-128", "ethos-u85-256"])
def untrained(request):
    return wb.open("mobilenetv2_050", target=request.param, input_size=SIZE)


def stored(session):
    """Bytes of constants, compressed, as modelled."""
    return modelled(session.graph, session.target, session.base.weight_values).analysis.memory_usage.constants


def close(session):
    """The compiled latency; the estimate, and what is stored for it, agree with the compiler."""
    estimate = session.estimate
    compiled = session.verify()
    assert compiled.status == "compiled"
    assert estimate.latency_ms == pytest.approx(compiled.latency_ms, rel=0.02)
    if compiled.flash_bytes:
        assert stored(session) == pytest.approx(compiled.flash_bytes, rel=0.03)
    else:
        assert estimate.dram_bytes == pytest.approx(compiled.dram_bytes, rel=0.03)
    return compiled.latency_ms


def test_estimates_are_what_the_compiler_says(untrained):
    before = close(untrained)
    after = {name: close(untrained.apply(*steps)) for name, steps in STEPS.items()}
    assert max(after.values()) < before
    assert after["both"] < min(after["pruned"], after["clustered"])
    if "u55" in untrained.target.name:  # everything comes from the flash
        assert after["pruned"] < 0.8 * before
        assert after["clustered"] < 0.85 * before


@pytest.mark.parametrize("name", ["pruned", "clustered", "2:4"])
def test_on_a_u85_with_slow_memory(name):
    target = wb.Target.ethos_u("ethos-u85-256", dram_gbps=1.0)
    session = wb.open("mobilenetv2_050", target=target, input_size=SIZE)
    assert close(session.apply(*STEPS[name])) < 0.9 * close(session)


@pytest.mark.parametrize(
    "steps",
    [
        (wb.Sparsify(0.6),),
        (wb.ClusterWeights(16),),
        (wb.Sparsify(0.6), wb.DepthMultiplier(0.75)),
        (wb.DepthMultiplier(0.75), wb.Sparsify(0.6), wb.ClusterWeights(16)),
        (wb.EvenChannels("up", 16), wb.ClusterWeights(8)),
    ],
    ids=str,
)
def test_a_trained_models_own_weights_are_compressed(steps):
    """Those of the built module are compiled; the estimate compresses the base's."""
    session = wb.open(heavy("mobilenetv2_050"), target="ethos-u55-128", input_size=SIZE)
    before, edited = session.estimate.latency_ms, session.apply(*steps)
    plain = session.apply(*[step for step in steps if isinstance(step, wb.DepthMultiplier | wb.EvenChannels)] or steps)
    after = close(edited)
    assert after < (before if plain.graph == edited.graph else 0.95 * plain.estimate.latency_ms)


class Normed(nn.Module):
    """A token mixer whose layer norms scale every input of the layers behind them differently."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 192, 8, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(192) for _ in range(3))
        self.layers = nn.ModuleList(nn.Linear(192, 192) for _ in range(3))
        for norm in self.norms:
            nn.init.uniform_(norm.weight, 0.05, 3)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x))
        return x


def test_scales_folded_into_shared_values_are_seen():
    """A layer norm's scale makes more values of the few; the compiler is given those, and so is the estimate."""
    torch.manual_seed(0)
    session = wb.open(Normed(), target="ethos-u55-128", input_size=(3, 32, 32))
    clustered = session.apply(wb.ClusterWeights(4))
    ours, theirs = (
        [each(s) for s in (session, clustered)] for each in (lambda s: stored(s), lambda s: s.verify().flash_bytes)
    )
    assert ours[0] - ours[1] == pytest.approx(theirs[0] - theirs[1], rel=0.05)
    layer = next(op for op in session.graph.ops if op.kind == "linear")
    norm = session.graph.by_name[layer.inputs[0]]
    shared = rewrite(session.graph, wb.ClusterWeights(4).plan(session.graph, session.target)).by_name[layer.name]
    values = session.base.weight_values
    assert np.count_nonzero(values.of(shared).shares) == 4
    assert np.count_nonzero(values.of(shared, norm).shares) > 100


def test_the_module_brought_along_is_compiled_as_it_is():
    """A module that somebody else pruned is estimated as pruned, without any step."""
    session = wb.open(heavy("mobilenetv2_050"), target="ethos-u55-128", input_size=SIZE)
    pruned = session.apply(wb.Sparsify(0.75))
    again = wb.open(pruned.build(), target="ethos-u55-128", input_size=SIZE)
    assert again.estimate.latency_ms == pytest.approx(pruned.estimate.latency_ms, rel=1e-3)
    assert close(again) == pytest.approx(close(pruned), rel=1e-6)


# ---- distributions -----------------------------------------------------------------------------------------------


def edited(name, *steps):
    graph = traced(name, 64)
    for step in steps:
        graph = rewrite(graph, step.plan(graph, resolve("ethos-u65-512")))
    return graph


def codes(weight):
    flat = weight.reshape(len(weight), -1)
    return np.rint(flat / np.abs(flat).max(axis=1, keepdims=True) * 127)


def test_untrained_layers_are_what_is_compiled():
    graph = edited("mobilenetv2_100", wb.Sparsify(0.75), wb.ClusterWeights(9))
    for op in graph.ops:
        if op.kind in ("conv2d", "linear"):
            drawn = parameter_values(op, "weight", None)  # the compression in it
            shares = NORMAL.of(op).shares
            assert shares[255] == pytest.approx((drawn == 0).mean())
            assert {int(v) - 255 for v in np.flatnonzero(shares)} == set(np.unique(codes(drawn)).astype(int))
    assert NORMAL.of(traced("mobilenetv2_100", 64).by_name["conv2d"]) is None


@pytest.mark.parametrize(
    "later", [(), (wb.DepthMultiplier(0.5),), (wb.DenseDepthwise("blocks.2.*"),), (wb.FuseIBN("blocks.1.*"),)]
)
def test_compressed_is_never_taken_for_uncompressed(later):
    """Whatever came before or after: an edited layer has the zeros and the few values its schemes give it."""
    state = {name: value.numpy() for name, value in heavy("mobilenetv2_100").state_dict().items()}
    own_values = weight_values(traced("mobilenetv2_100", 64), lambda name, shape: state[name])
    steps = (wb.Sparsify(0.5), wb.ClusterWeights(16))
    for graph in (edited("mobilenetv2_100", *steps, *later), edited("mobilenetv2_100", *later, *steps)):
        for op in graph.ops:
            for values in (own_values, NORMAL):
                if op.kind in ("conv2d", "linear"):
                    shares = values.of(op).shares
                    assert shares[255] > 0.49
                    assert np.count_nonzero(shares) <= 16


def test_a_trained_layer_of_the_same_shape_is_exact():
    model = heavy("mobilenetv2_100")
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    graph = edited("mobilenetv2_100", wb.Sparsify(0.3))
    values = weight_values(traced("mobilenetv2_100", 64), lambda name, shape: state[name])
    op = next(op for op in graph.ops if op.module == "blocks.3.0.conv_pw")
    expected_codes = codes(compressed(state["blocks.3.0.conv_pw.weight"], prune(0.3)).astype(np.float64))
    expected = np.bincount(expected_codes.astype(int).ravel() + 255, minlength=511) / expected_codes.size
    np.testing.assert_allclose(values.of(op).shares, expected, atol=1.5 / expected_codes.size)


def test_two_in_four_is_seen_as_such():
    graph = edited("mobilenetv2_100", wb.Sparsify(pattern="2:4"))
    both = rewrite(graph, wb.ClusterWeights().plan(graph, resolve("ethos-u65-512")))
    layers = [op for op in graph.ops if op.get("compress")]
    assert len(layers) == 35  # of 53 convolutions and linear layers 17 are depthwise, and one reads three channels
    assert all(NORMAL.of(op).sparse and NORMAL.of(both.by_name[op.name]).sparse for op in layers)
    half = edited("mobilenetv2_100", wb.Sparsify(0.5))
    assert not any(NORMAL.of(half.by_name[op.name]).sparse for op in layers)


def test_a_window_sees_the_values_of_both_networks():
    """One layer pruned: the difference of the whole networks, from the part around it."""
    target = resolve("ethos-u55-128")
    before = traced("mobilenetv2_100", 64)
    after = edited("mobilenetv2_100", wb.Sparsify(0.9, blocks="blocks.4.1"))
    whole = sum(modelled(after, target).cycles) - sum(modelled(before, target).cycles)
    assert whole < 0
    assert delta_cycles(before, after, target) == pytest.approx(whole, rel=0.1)


def test_asked_again_it_is_quick():
    """An edited block of a compressed network costs its own layers, no others."""
    session = wb.open("mobilenetv2_100", target="ethos-u55-128", input_size=(3, 64, 64))
    pruned = session.apply(wb.Sparsify(0.75), wb.ClusterWeights(16))
    assert pruned.estimate.latency_ms > 0
    fused = pruned.apply(wb.FuseIBN("blocks.1.0"))
    start = perf_counter()
    assert [NORMAL.of(op) for op in pruned.graph.ops if op.kind == "conv2d"]
    assert perf_counter() - start < 0.02
    changed = [op.name for op in fused.graph.ops if op.get("compress") and op not in pruned.graph.ops]
    assert 0 < len(changed) <= 3
    assert cluster(16) in fused.graph.by_name[changed[0]]["compress"]


def test_an_edited_graph_may_be_the_first_that_asks():
    """The distribution is the model's own, so that who asks first makes no difference."""
    session = wb.open(heavy("mobilenetv2_050"), target="ethos-u55-128", input_size=SIZE)
    first = session.apply(wb.DepthMultiplier(0.75)).estimate.latency_ms
    other = wb.open(heavy("mobilenetv2_050"), target="ethos-u55-128", input_size=SIZE)
    assert other.estimate
    assert other.apply(wb.DepthMultiplier(0.75)).estimate.latency_ms == first


class Bottleneck(nn.Module):
    """An inverted bottleneck as people write it, whose fused kernel takes the name of the depthwise one."""

    def __init__(self):
        super().__init__()
        norm = nn.BatchNorm2d
        self.conv = nn.Sequential(
            nn.Conv2d(48, 288, 1, bias=False), norm(288), nn.ReLU(),
            nn.Conv2d(288, 288, 3, 1, 1, groups=288, bias=False), norm(288), nn.ReLU(),
            nn.Conv2d(288, 48, 1, bias=False), norm(48),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_a_composed_kernel_lies_inside_the_interval(target):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 48, 3, 2, 1), Bottleneck()).eval()
    fused = wb.open(model, target=target, input_size=(3, 12, 12)).apply(wb.FuseIBN("1"))
    estimate = fused.estimate
    low, high = estimate.latency_interval_ms
    kernel = next(op for op in fused.graph.ops if op.kind == "conv2d" and op.param("weight").shape == (288, 48, 3, 3))
    assert fused.weight_values.of(kernel) is None  # not the depthwise kernel's, repeated over all inputs
    assert low <= fused.verify().latency_ms <= high
    assert low < 0.97 * estimate.latency_ms
