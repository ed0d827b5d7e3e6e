"""Stored bytes of weights against the compiler's own encoder, for values of every shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.estimators import weight_values
from workbench.estimators.cycle_model import modelled
from workbench.estimators.npu.weight_histogram import weight_histogram
from workbench.graph.trace import trace
from workbench.hardware import EthosU

from ...graph.zoo import traced

FLASH = {"system_config": "Ethos_U85_SYS_Flash_Low", "memory_mode": "Shared_Sram"}


def weights(kind):
    """(name, shape) -> values; 75 % pruned, 16 shared values, heavy tails."""

    def weight(name, shape):
        if len(shape) < 2:
            return None
        random = np.random.default_rng(abs(hash(name)) % 1000)
        values = random.standard_normal(shape)
        match kind:
            case "pruned":
                values[np.abs(values) < np.quantile(np.abs(values), 0.75)] = 0
            case "clustered":
                levels = np.quantile(values, (np.arange(16) + 0.5) / 16)
                values = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]
            case "heavy":
                values = random.standard_t(3, shape)
        return values.astype(np.float32)

    return weight


@pytest.mark.parametrize("target", ["ethos-u55-256", "ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize("kind", ["normal", "pruned", "clustered", "heavy"])
def test_latency_follows_the_values(kind, target):
    graph, target = traced("mobilenetv2_100", 224), EthosU(target)
    compiled = target.measure_graph(graph, weights(kind))
    estimated = modelled(graph, target, weight_values(graph, weights(kind)))
    assert sum(estimated.cycles) == pytest.approx(compiled.cycles, rel=0.02)
    stored = compiled.flash_bytes if compiled.flash_bytes else compiled.dram_bytes
    constants = estimated.analysis.memory_usage.constants
    assert (constants if compiled.flash_bytes else estimated.dram_bytes) == pytest.approx(stored, rel=0.05)


def test_pruning_is_worth_what_the_compiler_says():
    """On a flash-bound target a third of the latency is in the values."""
    graph, target = traced("mobilenetv2_100", 224), EthosU("ethos-u55-256")
    full, pruned = (modelled(graph, target, weight_values(graph, weights(kind))) for kind in ("normal", "pruned"))
    assert 0.5 < sum(pruned.cycles) / sum(full.cycles) < 0.8


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_scaling_a_channel_changes_nothing(seed, factor):
    weight = np.random.default_rng(seed).standard_normal((4, 9))
    scaled = weight.copy()
    scaled[1] *= factor
    np.testing.assert_allclose(weight_histogram(weight).shares, weight_histogram(scaled).shares, atol=1 / 36 + 1e-9)


def few_values(k):
    """(name, shape) -> weights that take k values, the largest of them in every output channel."""

    def weight(name, shape):
        if len(shape) < 2:
            return None
        random = np.random.default_rng(k)
        levels = np.linspace(-1, 1, k)
        values = random.choice(levels, shape)
        values[:, 0] = levels[-1]
        return values.astype(np.float32)

    return weight


@pytest.mark.parametrize("k", [2, 3, 8, 12, 16, 17, 32, 33, 64])
@pytest.mark.parametrize(
    ("target", "near"),
    # on the U85 zeros that fill nine taps up to ten come in runs, which the encoder may tell from the weights
    [(EthosU("ethos-u55-128"), 0.02), (EthosU.with_options("ethos-u85-256", **FLASH), 0.06)],
    ids=["u55", "u85"],
)
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_layer_of_few_values_takes_what_the_encoder_makes_of_it(kernel, target, near, k):
    graph = trace(nn.Conv2d(128, 128, kernel, padding=kernel // 2).eval(), (128, 14, 14))
    stored = target.measure_graph(graph, few_values(k)).flash_bytes
    estimated = modelled(graph, target, weight_values(graph, few_values(k))).analysis.memory_usage.constants
    assert estimated == pytest.approx(stored, rel=near, abs=64)


def test_fewer_values_are_smaller():
    graph, target = trace(nn.Conv2d(128, 128, 3).eval(), (128, 14, 14)), EthosU("ethos-u55-128")
    sizes = [
        modelled(graph, target, weight_values(graph, few_values(k))).analysis.memory_usage.constants
        for k in (2, 4, 8, 16, 32)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] / 3
