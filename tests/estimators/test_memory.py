"""Peak activation memory: the replay equals the compiler's own allocation, and a brute-force planner's."""

import pytest

from workbench.estimators.memory import peak_bytes, replay
from workbench.targets import EthosU
from workbench.targets.lowering import lower
from workbench.targets.quantisation import assign_scales
from workbench.targets.tflite import write_tflite
from workbench.targets.vela_worker import shared_pool

from ..graph.zoo import traced


@pytest.mark.parametrize(
    "name", ["mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0", "resnet18", "ghostnet_100", "rexnet_100"]
)
def test_peak_equals_the_compilers(name):
    """On ethos-u55 it is the SRAM of `vela --disable-cascading --disable-buffering`, to the byte."""
    graph = traced(name, 224)
    settings = EthosU("ethos-u55-128").without("cascading", "buffering")
    answer = shared_pool().compile(settings, write_tflite(graph).data)
    ops, _ = assign_scales(lower(graph))
    assert peak_bytes(ops) == answer["peak_bytes"]["sram"]


def test_the_timeline_names_what_lives():
    ops, _ = assign_scales(lower(traced("mobilenetv2_100", 224)))
    top = max(replay(ops), key=lambda step: step.live_bytes)
    assert top.live_bytes == 112 * 112 * 96 + 56 * 56 * 96
    assert len(top.tensors) == 2
