"""Accelerators nobody built: the same model, checked against the compiler with the same numbers."""

import pytest

import workbench as wb
from workbench.errors import InputError
from workbench.estimators import estimate
from workbench.hardware import ETHOS_U, EthosU

from ..graph.zoo import traced


@pytest.mark.parametrize(
    ("accelerator", "options"),
    [
        ("ethos-u65-512", {"clock_mhz": 800, "dram_gbps": 6.4}),
        ("ethos-u65-256", {"clock_mhz": 700, "dram_gbps": 24, "dram_read_latency": 200, "sram": 300_000}),
        ("ethos-u55-256", {"clock_mhz": 400, "flash_gbps": 1.6}),
        ("ethos-u55-128", {"sram_read_latency": 64, "sram_gbps": 1.0}),
        ("ethos-u85-1024", {"clock_mhz": 1500, "sram_gbps": 20, "dram_gbps": 30}),
    ],
)
@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_the_compiler_agrees(name, accelerator, options):
    target = wb.Target.ethos_u(accelerator, **options)
    graph = traced(name, 224)
    found = target.measure_graph(graph)
    assert found.status == "compiled", found.reason
    assert estimate(graph, target).latency_ms == pytest.approx(found.latency_ms, rel=0.02)


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-512"])
def test_an_existing_configuration_described_anew_gives_the_same(accelerator):
    built = EthosU(accelerator)
    described = wb.Target.ethos_u(accelerator, clock_mhz=built.clock_hz / 1e6)
    graph = traced("mobilenetv2_100", 96)
    assert described.measure_graph(graph).cycles == built.measure_graph(graph).cycles


def test_a_number_of_macs_in_between_lies_in_between():
    graph = traced("mobilenetv2_100", 224)
    small, middle, large = (estimate(graph, wb.Target.ethos_u("ethos-u85-512", macs=n)) for n in (512, 768, 1024))
    assert large.latency_ms < middle.latency_ms < small.latency_ms
    assert "no accelerator of 768 MACs exists" in middle.basis
    assert not small.outside
    refused = wb.Target.ethos_u("ethos-u85-512", macs=768).measure_graph(graph)
    assert refused.status == "refused"
    assert "512, 1024" in refused.reason


def test_macs_alone_find_their_family():
    assert wb.Target.ethos_u(macs=2048) == EthosU("ethos-u85-2048")
    assert wb.Target.ethos_u(macs=384).neighbours == (EthosU("ethos-u65-256"), EthosU("ethos-u65-512"))
    assert all(wb.Target.ethos_u(name, macs=EthosU(name).macs) == EthosU(name) for name in ETHOS_U)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"macs": 9999}, "9999.*nearest is 2048"),
        ({"accelerator": "ethos-u55-128", "dram_gbps": 3}, "no dram; it has offchipflash and sram"),
        ({"clok_mhz": 3}, "clock_mhz"),
        ({"clock_mhz": -1}, "clock_mhz is -1"),
        ({"sram": 1024, "arena_bytes": 1024}, "say the same"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(options, said):
    with pytest.raises(InputError, match=said):
        wb.Target.ethos_u(**options)
