"""The analytic model against the compiler: operators, their order, tiles, places and cycles all have to be right."""

import pytest

from workbench.estimators.cycle_model import modelled as model
from workbench.estimators.npu.machine import machine_of
from workbench.estimators.npu.operators.sequence import pass_sequence
from workbench.estimators.npu.schedule.scheduler import schedule_passes
from workbench.estimators.random_networks import sample
from workbench.hardware import ETHOS_U, EthosU
from workbench.hardware.lowering import lower
from workbench.hardware.tensor_scales import assign_scales

from ...graph.zoo import traced


def compiled(graph, target):
    measurement = target.measure_graph(graph)
    assert measurement.status == "compiled", measurement.reason
    return measurement


@pytest.mark.parametrize("name", ETHOS_U)
def test_a_plain_network_is_right_on_every_accelerator(name):
    target = EthosU(name)
    graph = traced("mobilenetv2_100", 224)
    assert sum(model(graph, target).cycles) == pytest.approx(compiled(graph, target).cycles, rel=0.01)


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024"])
@pytest.mark.parametrize("name", ["densenet121", "ghostnet_100", "regnetx_004", "efficientnet_b0", "mixnet_s"])
def test_awkward_networks_are_right(name, target):
    target = EthosU(target)
    graph = traced(name, 96)
    assert sum(model(graph, target).cycles) == pytest.approx(compiled(graph, target).cycles, rel=0.05)


@pytest.mark.parametrize("seed", [201, 202, 203, 204])
def test_random_networks_are_near(seed):
    target = EthosU("ethos-u65-512")
    graph = sample(seed)
    assert sum(model(graph, target).cycles) == pytest.approx(compiled(graph, target).cycles, rel=0.1)


@pytest.mark.parametrize(
    ("accelerator", "options"),
    [
        ("ethos-u65-512", {"system_config": "Ethos_U65_Mid_End", "memory_mode": "Shared_Sram"}),
        ("ethos-u65-512", {"memory_mode": "Dedicated_Sram_512KB"}),
        ("ethos-u65-512", {"arena_bytes": 262144}),
        ("ethos-u55-256", {"arena_bytes": 524288}),
        ("ethos-u55-256", {"strategy": "size"}),
        ("ethos-u55-256", {"memory_mode": "Sram_Only"}),
        (
            "ethos-u85-512",
            {"system_config": "Ethos_U85_SYS_Flash_High", "memory_mode": "Shared_Sram", "strategy": "size"},
        ),
    ],
)
@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_other_configurations_are_right(name, accelerator, options):
    """A budget that is too small brings cascades; in both cases the memory is what the compiler reports."""
    target = EthosU(accelerator, **options)
    graph = traced(name, 224)
    measurement, estimated = compiled(graph, target), model(graph, target)
    assert sum(estimated.cycles) == pytest.approx(measurement.cycles, rel=0.02)
    assert estimated.sram_bytes == pytest.approx(measurement.sram_bytes, rel=0.05)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "ghostnet_100", "densenet121"])
def test_memory_outside_the_chip_is_the_compilers(name):
    target = EthosU("ethos-u65-512")
    graph = traced(name, 224)
    assert model(graph, target).dram_bytes == pytest.approx(compiled(graph, target).dram_bytes, rel=0.05)


def test_what_is_near_never_exceeds_the_memory():
    machine = machine_of(EthosU("ethos-u65-512"))
    ops, _ = assign_scales(lower(traced("mobilenetv2_100", 224)))
    passes = pass_sequence(ops, machine)
    schedule = schedule_passes(machine, passes)
    whole = {p.output: p.ofm.stored_bytes for p in passes}
    assert schedule.striping.cascades
    assert 0 < max(schedule.memory_usage.near) <= machine.near_bytes
    assert all(cascade.bytes <= machine.near_bytes for cascade in schedule.striping.cascades)
    cascades = schedule.striping.cascades
    rolling = {passes[i].inputs[0] for cascade in cascades for i in range(cascade.first + 1, cascade.last + 1)}
    assert all(whole[name] <= machine.near_bytes for name in schedule.near - rolling)
