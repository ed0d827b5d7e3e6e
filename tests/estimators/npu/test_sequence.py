"""The passes, their order and what is chained, against the compiler's own list of operations."""

import pytest

from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.graph.trace import trace
from workbench.hardware import EthosU
from workbench.hardware.lowering import lower
from workbench.hardware.tensor_scales import assign_scales
from workbench.hardware.tflite import write_tflite

from ...graph.networks import Grouped, PartialResidual, SqueezeExcite
from ...graph.zoo import traced


def operations(graph, target):
    """(kind, number of the deployed operator) of every operation, chained ones after what they run on."""
    ops, _ = assign_scales(lower(graph))
    return [
        (kind, pass_.sources[0])
        for pass_ in pass_sequence(ops, machine_of(target))
        for kind in (pass_.op, *(link.op for link in pass_.chain))
    ]


def same_kinds(graph, target):
    compiled = target.measure(write_tflite(graph).data)
    assert compiled.status == "compiled", compiled.reason
    assert [kind for kind, _ in operations(graph, target)] == list(compiled.ops.kind)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize(
    "name",
    ["mobilenetv2_100", "densenet121", "ghostnet_100", "efficientnet_b0", "regnetx_004", "rexnet_100", "resnet18"],
)
def test_operations_are_the_compilers(name, target):
    same_kinds(traced(name, 96), EthosU(target))


@pytest.mark.parametrize("network", [Grouped, PartialResidual, SqueezeExcite])
def test_small_networks_are_issued_as_the_compiler_does(network):
    same_kinds(trace(network().eval(), (3, 32, 32)), EthosU("ethos-u85-256"))


def test_operators_are_charged_where_the_compiler_charges_them():
    target = EthosU("ethos-u65-512")
    graph = traced("mobilenetv2_100", 96)
    compiled = target.measure(write_tflite(graph).data)
    charged = [str(number) for kind, number in operations(graph, target) if not kind.startswith("Relu")]
    expected = [
        source for kind, source in zip(compiled.ops.kind, compiled.ops.source, strict=True) if kind[:4] != "Relu"
    ]
    assert charged == expected
