"""Attention, layer norms and what the compiler leaves to the host, against the compiler itself."""

import pytest

from workbench.estimators import estimate
from workbench.estimators.ethos_u import modelled
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.hardware import EthosU
from workbench.hardware.lowering import lower
from workbench.hardware.quantisation import assign_scales

from ...graph.zoo import traced

TARGETS = ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"]
SIZES = {"test_vit": 160, "levit_128s": 224, "test_convnext": 160, "shvit_s1": 224, "deit_tiny_patch16_224": 224}


def kinds(graph, target):
    """Every operation the accelerator runs; a turn on the way out is one of the compiler's list, too."""
    ops, _ = assign_scales(lower(graph))
    found = []
    for pass_ in pass_sequence(ops, machine_of(target)):
        found += [pass_.op, *(link.op for link in pass_.chain)]
        if pass_.transpose is not None and pass_.op != "Transpose":
            found.append("Transpose")
    return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SIZES)
def test_operations_and_cycles_are_the_compilers(name, target):
    graph, target = traced(name, SIZES[name]), EthosU(target)
    found = target.measure_graph(graph)
    assert found.complete, found.reason
    assert kinds(graph, target) == list(found.ops.kind)
    ours = modelled(graph, target)
    assert ours.composed
    assert sum(ours.cycles) == pytest.approx(found.cycles, rel=0.05)


def test_weights_of_a_turned_convolution_are_near_when_the_compilers_are():
    """On the smallest U85 the queries' weights stay far, and are read for every block of the turned map."""
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
    found = target.measure_graph(graph)
    assert found.status == "compiled", found.reason
    answer = estimate(graph, target)
    assert set(answer.cpu_ops) == set(found.cpu_ops)
    assert answer.complete == found.complete
