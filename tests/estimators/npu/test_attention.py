"""Attention, layer norms and what the compiler leaves to the host, against the compiler itself."""

import pytest

from workbench.estimators import estimate
from workbench.estimators.cycle_model import modelled
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.hardware import EthosU
from workbench.hardware.lowering import lower
from workbench.hardware.tensor_scales import assign_scales

from ...graph.zoo import traced

TARGETS = ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"]
SIZES = {"test_vit": 160, "levit_128s": 224, "test_convnext": 160, "shvit_s1": 224, "deit_tiny_patch16_224": 224}


def kinds(graph, target):
    """Every operation the accelerator runs; a fused transpose is one in the compiler's list, too."""
    ops, _ = assign_scales(lower(graph))
    operations = []
    for pass_ in pass_sequence(ops, machine_of(target)):
        operations += [pass_.op, *(link.op for link in pass_.chain)]
        if pass_.transpose is not None and pass_.op != "Transpose":
            operations.append("Transpose")
    return operations


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SIZES)
def test_operations_and_cycles_are_the_compilers(name, target):
    graph, target = traced(name, SIZES[name]), EthosU(target)
    compiled = target.measure_graph(graph)
    assert compiled.complete, compiled.reason
    assert kinds(graph, target) == list(compiled.ops.kind)
    model = modelled(graph, target)
    assert model.composed
    assert sum(model.cycles) == pytest.approx(compiled.cycles, rel=0.05)


def test_weights_of_a_transposed_convolution_are_near_when_the_compilers_are():
    """On the smallest U85 the queries' weights stay far, and are read for every block of the transposed feature map."""
    graph, target = traced("visformer_tiny", 224), EthosU("ethos-u85-256")
    assert sum(modelled(graph, target).cycles) == pytest.approx(target.measure_graph(graph).cycles, rel=0.05)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, target) for name in ("convnextv2_atto", "test_mambaout") for target in TARGETS),
        ("poolformer_s12", "ethos-u85-256"),
        ("mobilevit_xxs", "ethos-u85-256"),
    ],
)
def test_what_the_compiler_leaves_to_the_host_is_named(name, target):
    graph, target = traced(name, 96), EthosU(target)
    compiled = target.measure_graph(graph)
    assert compiled.status == "compiled", compiled.reason
    estimated = estimate(graph, target)
    assert set(estimated.cpu_ops) == set(compiled.cpu_ops)
    assert estimated.complete == compiled.complete
