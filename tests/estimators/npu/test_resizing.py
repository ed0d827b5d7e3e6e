"""Maps made larger, as decoders of segmentation and detection do, against the compiler itself."""

import pytest
import torch

from workbench.estimators import estimate
from workbench.estimators.cycle_model import modelled
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.graph.trace import trace
from workbench.hardware import EthosU
from workbench.hardware.lowering import lower
from workbench.hardware.tensor_scales import assign_scales

from ...graph.networks import Decoder


def decoder(mode, ratio, width, size):
    torch.manual_seed(0)
    return trace(Decoder(mode, ratio, width).eval(), (3, size, size))


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-512"])
@pytest.mark.parametrize(("width", "size"), [(24, 32), (64, 48)])
@pytest.mark.parametrize(("mode", "ratio"), [("nearest", 2), ("bilinear", 2)])
def test_larger_maps_are_the_compilers(mode, ratio, width, size, target):
    graph, target = decoder(mode, ratio, width, size), EthosU(target)
    compiled = target.measure_graph(graph)
    assert compiled.complete, compiled.reason
    ops, _ = assign_scales(lower(graph))
    kinds = [kind for p in pass_sequence(ops, machine_of(target)) for kind in (p.op, *(link.op for link in p.chain))]
    assert kinds == list(compiled.ops.kind)
    assert sum(modelled(graph, target).cycles) == pytest.approx(compiled.cycles, rel=0.05)
    assert not estimate(graph, target).outside


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-512"])
@pytest.mark.parametrize(("mode", "size"), [("nearest", 45), ("bilinear", 45), ("bilinear", 48)])
def test_ratios_the_compiler_leaves_to_the_host_are_named(mode, size, target):
    graph, target = decoder(mode, 3 if size == 45 else 4, 16, size), EthosU(target)
    compiled = target.measure_graph(graph)
    assert compiled.status == "compiled", compiled.reason
    assert set(estimate(graph, target).cpu_ops) == set(compiled.cpu_ops)
