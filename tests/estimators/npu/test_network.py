"""The analytic model against the compiler: operators, their order, tiles, places and cycles all have to be right."""

import pytest

from workbench.estimators.npu.issue import issue
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.network import analyse, scheduled
from workbench.estimators.sampling import sample
from workbench.targets import ETHOS_U, EthosU
from workbench.targets.lowering import lower
from workbench.targets.quantisation import assign_scales

from ...graph.zoo import traced


def modelled(graph, target):
    """Cycles of every operator of the deployed file."""
    machine = machine_of(target)
    ops, _ = assign_scales(lower(graph))
    passes = issue(ops, machine)
    spent: dict[int, int] = {}
    for pass_, cost in zip(passes, analyse(machine, passes).passes, strict=True):
        spent[pass_.sources[0]] = spent.get(pass_.sources[0], 0) + cost.cycles
    return spent


def compiled(graph, target):
    found = target.measure_graph(graph)
    assert found.status == "compiled", found.reason
    return found


@pytest.mark.parametrize("name", ETHOS_U)
def test_a_plain_network_is_right_on_every_accelerator(name):
    target = EthosU(name)
    graph = traced("mobilenetv2_100", 224)
    assert sum(modelled(graph, target).values()) == pytest.approx(compiled(graph, target).cycles, rel=0.01)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize("name", ["densenet121", "ghostnet_100", "regnetx_004", "efficientnet_b0", "mixnet_s"])
def test_awkward_networks_are_right(name, target):
    target = EthosU(target)
    graph = traced(name, 96)
    assert sum(modelled(graph, target).values()) == pytest.approx(compiled(graph, target).cycles, rel=0.05)


@pytest.mark.parametrize("seed", [201, 202, 203, 204])
def test_random_networks_are_near(seed):
    target = EthosU("ethos-u65-512")
    graph = sample(seed)
    assert sum(modelled(graph, target).values()) == pytest.approx(compiled(graph, target).cycles, rel=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"system_config": "Ethos_U65_Mid_End", "memory_mode": "Shared_Sram"},
        {"system_config": "Ethos_U65_Client_Server", "memory_mode": "Dedicated_Sram_512KB"},
        {"arena_bytes": 262144},
    ],
)
def test_other_memories_are_right(options):
    target = EthosU("ethos-u65-512", **options)
    graph = traced("mobilenetv2_100", 224)
    assert sum(modelled(graph, target).values()) == pytest.approx(compiled(graph, target).cycles, rel=0.02)


def test_what_is_near_never_exceeds_the_memory():
    machine = machine_of(EthosU("ethos-u65-512"))
    ops, _ = assign_scales(lower(traced("mobilenetv2_100", 224)))
    passes = issue(ops, machine)
    _, cascades, near, most = scheduled(machine, passes)
    whole = {p.output: p.ofm.stored_bytes for p in passes}
    assert cascades
    assert 0 < most <= machine.near_bytes
    assert all(cascade.bytes <= machine.near_bytes for cascade in cascades)
    rolling = {passes[i].inputs[0] for cascade in cascades for i in range(cascade.first + 1, cascade.last + 1)}
    assert all(whole[name] <= machine.near_bytes for name in near - rolling)
