"""Ethos-U targets: names, refusals, and figures equal to the compiler's own command line."""

import pytest

import workbench as wb
from workbench.errors import InputError, UnknownName
from workbench.hardware import ETHOS_U, EthosU, list_targets, resolve
from workbench.hardware.tflite import write_tflite

from ..graph.zoo import traced
from .command_line import vela


@pytest.mark.parametrize(("accelerator", "options"), [
    ("ethos-u55-128", {}),
    ("ethos-u65-512", {}),
    ("ethos-u85-1024", {}),
    ("ethos-u55-128", {"strategy": "size"}),
    ("ethos-u55-256", {"arena_bytes": 524288}),
])  # fmt: skip
def test_figures_equal_the_command_line(tmp_path, accelerator, options):
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(traced("mobilenetv2_100", 96)).data)
    ours = EthosU(accelerator, **options).measure(path)
    flags = {"strategy": "--optimise=Size", "arena_bytes": f"--arena-cache-size={options.get('arena_bytes')}"}
    theirs = vela(path, accelerator, *(flags[key] for key in options))
    assert ours.status == "compiled"
    assert ours.cycles == theirs["cycles_total"]
    assert ours.sram_bytes / 1024 == pytest.approx(theirs["sram_memory_used"], abs=0.01)
    assert ours.latency_ms == pytest.approx(ours.cycles / EthosU(accelerator).clock_hz * 1e3)


def test_costs_come_back_to_graph_operators():
    graph = traced("mobilenetv2_100", 96)
    measured = resolve("ethos-u65-512").measure_graph(graph)
    assert set(measured.ops.source) <= set(graph.by_name)
    assert measured.ops.op_cycles.sum() == measured.cycles
    layers = [op.name for op in graph.ops if op.kind in ("conv2d", "linear")]
    assert measured.ops[measured.ops.source.isin(layers)].macs.sum() == graph.macs


def test_a_file_that_is_none_is_refused():
    measured = resolve("ethos-u65-512").measure(b"not a network")
    assert (measured.status, measured.complete, measured.latency_ms) == ("refused", False, None)


def test_what_falls_to_the_host_is_named():
    """A 7x7 convolution of stride 4 with SAME padding: beyond the U65, and one cycle in the compiler's total."""
    import torch

    from workbench.graph.trace import trace

    graph = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 7, 4, 3), torch.nn.Softmax2d()), (3, 64, 64))
    measured = resolve("ethos-u65-512").measure_graph(graph)
    assert measured.status in ("compiled", "refused")
    assert measured.reason or measured.complete or measured.cpu_ops


def test_all_eleven_are_listed():
    table = list_targets()
    assert tuple(table.name[:11]) == ETHOS_U
    assert dict(zip(table.name, table.clock_mhz, strict=True))["ethos-u55-128"] == 500


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: resolve("ethos-u65-521"), UnknownName, "nearest is 'ethos-u65-512'"),
        (lambda: wb.Target.ethos_u("ethos-u65-512", strategy="speed"), UnknownName, "strategy 'speed'"),
        (lambda: wb.Target.ethos_u("ethos-u65-512", memory_mod="x"), UnknownName, "memory_mode"),
        (lambda: wb.Target.ethos_u("ethos-u65-512", system_config="Ethos_U65_Hi_End"), UnknownName, "U65_High_End"),
        (lambda: wb.Target.ethos_u("ethos-u65-512", arena_bytes=0), InputError, "at least 1"),
        (lambda: wb.Target.ethos_u("ethos-u65-512", ini="/no/such.ini"), InputError, "no readable"),
        (lambda: resolve("ethos-u65-512").measure("nowhere.tflite"), InputError, "no file 'nowhere.tflite'"),
    ],
)
def test_bad_targets_say_so(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_digest_is_of_the_whole_configuration():
    names = [EthosU("ethos-u55-128"), EthosU("ethos-u55-128", strategy="size"), EthosU("ethos-u55-256")]
    assert len({target.digest for target in names}) == 3
    assert names[0].digest == EthosU("ethos-u55-128").digest
