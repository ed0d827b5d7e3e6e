"""Peak activation memory: the replay equals the compiler's own allocation, to the byte."""

import pytest

from workbench.estimators.memory import peak_bytes, replay
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.estimators.random_networks import sample
from workbench.graph.trace import trace
from workbench.hardware import EthosU
from workbench.hardware.ethos_u.compiler_pool import shared_pool
from workbench.hardware.lowering import lower
from workbench.hardware.tensor_scales import assign_scales
from workbench.hardware.tflite import write_tflite

from ..graph.networks import Decoder
from ..graph.zoo import traced

TARGET = EthosU("ethos-u55-128")


def passes_of(graph):
    ops, _ = assign_scales(lower(graph))
    return pass_sequence(ops, machine_of(TARGET))


def compiled_peak(graph):
    settings = TARGET.without("cascading", "buffering")
    return shared_pool().compile(settings, write_tflite(graph).data)["peak_bytes"]["sram"]


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0", "resnet18", "ghostnet_100", "rexnet_100",
        "densenet121", "mixnet_s", "regnetx_004",
    ],
)  # fmt: skip
def test_peak_equals_the_compilers(name):
    graph = traced(name, 224)
    assert peak_bytes(passes_of(graph)) == compiled_peak(graph)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("width", [16, 24])
def test_peak_of_larger_maps_equals_the_compilers(mode, width):
    graph = trace(Decoder(mode, width=width).eval(), (3, 48, 48))
    assert peak_bytes(passes_of(graph)) == compiled_peak(graph)


@pytest.mark.parametrize("seed", range(300, 312))
def test_peak_of_random_networks_equals_the_compilers(seed):
    graph = sample(seed)
    assert peak_bytes(passes_of(graph)) == compiled_peak(graph)


def test_the_timeline_names_what_lives():
    moments = replay(passes_of(traced("mobilenetv2_100", 224)))
    top = max(moments, key=lambda moment: moment.live_bytes)
    assert top.live_bytes == 112 * 112 * 96 + 56 * 56 * 96
    assert len(top.tensors) == 2
    assert peak_bytes(passes_of(traced("mobilenetv2_100", 224))) == top.live_bytes
