"""Files that are no int8 networks are refused with the reason, and what runs on the CPU is named.

The truth is the compiler's own command line, and another package's reading of the files it writes.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from workbench.hardware import EthosU, Measurement
from workbench.hardware.tflite import write_tflite

from ..graph.zoo import traced
from .command_line import vela
from .tflite_files import converted_to_float, int8_file, kinds_in, with_custom, with_subgraph

TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")


class Product(nn.Module):
    """Two maps multiplied as matrices, and no other layer."""

    def forward(self, x):
        return x @ x.transpose(-1, -2)


class Activation(nn.Module):
    """No layer at all."""

    def forward(self, x):
        return torch.sigmoid(x) + x


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))


LAYERS = {
    "convolutions": plain(),
    "depthwise": nn.Conv2d(3, 6, 3, groups=3),
    "fully connected": nn.Sequential(nn.Flatten(), nn.Linear(768, 5)),
    "transposed": nn.ConvTranspose2d(3, 4, 2, 2),
    "one dimension": nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3)),
}


def measured(data: bytes, accelerator: str = "ethos-u65-512") -> Measurement:
    return EthosU(accelerator).measure(data)


def is_refused(measurement: Measurement, words: str) -> bool:
    assert "\n" not in measurement.reason
    figures = (measurement.latency_ms, measurement.cycles, measurement.macs, measurement.complete)
    return measurement.status == "refused" and words in measurement.reason and figures == (None, None, None, False)


@pytest.mark.parametrize("name", LAYERS)
def test_float_networks_are_refused(tmp_path: Path, name):
    data = int8_file(LAYERS[name])
    path = tmp_path / "float.tflite"
    path.write_bytes(converted_to_float(data))
    assert measured(data).status == "compiled"
    assert vela(path, "ethos-u65-512")["cycles_total"] == 0  # all of it stays on the CPU
    assert is_refused(measured(path.read_bytes()), "are floats")
    assert is_refused(EthosU("ethos-u65-512").measure(path), "quantise it first")


@pytest.mark.parametrize("accelerator", TARGETS)
@pytest.mark.parametrize("weights", ["float32", "float16 weights", "int8 weights"])
def test_smaller_weights_make_no_int8_network(weights, accelerator):
    """Half-precision and "dynamic range" files hold small weights, and compute on floats all the same."""
    assert is_refused(measured(converted_to_float(int8_file(plain()), weights), accelerator), "relu")


@pytest.mark.parametrize("module", [Activation(), nn.AvgPool2d(2), nn.MaxPool2d(2)], ids=["sums", "mean", "max"])
def test_float_networks_without_layers_are_refused(tmp_path: Path, module):
    path = tmp_path / "float.tflite"
    path.write_bytes(converted_to_float(int8_file(module)))
    assert vela(path, "ethos-u65-512")["cycles_total"] == 0
    assert is_refused(measured(path.read_bytes()), "runs on the accelerator")


def test_matrix_products_count_as_layers():
    assert is_refused(measured(converted_to_float(int8_file(Product()))), "BATCH_MATMUL")


@pytest.mark.parametrize("accelerator", TARGETS)
def test_compiled_files_are_refused(tmp_path: Path, accelerator):
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_file(plain()))
    vela(path, accelerator)
    compiled = (tmp_path / f"net-{accelerator}" / "net_vela.tflite").read_bytes()
    assert "CUSTOM:ethos-u" in kinds_in(compiled)
    for other in TARGETS:
        assert is_refused(measured(compiled, other), "compiled already")


def test_files_that_are_compiled_in_part_are_refused(tmp_path: Path):
    path = tmp_path / "net.tflite"
    path.write_bytes(with_custom(int8_file(plain()), "Detect", -1))
    vela(path, "ethos-u65-512")
    compiled = (tmp_path / "net-ethos-u65-512" / "net_vela.tflite").read_bytes()
    assert kinds_in(compiled) == ["CUSTOM:ethos-u", "CUSTOM:Detect"]
    assert is_refused(measured(compiled), "1 of its 2 operators")


@pytest.mark.parametrize("code", ["TFLite_Detection_PostProcess", "FlexErf", "ethos-u2"])
@pytest.mark.parametrize("behind", [0, 1, -1])
def test_custom_operators_are_the_cpus(tmp_path: Path, code, behind):
    path = tmp_path / "custom.tflite"
    path.write_bytes(with_custom(int8_file(plain()), code, behind))
    answer, truth = measured(path.read_bytes()), vela(path, "ethos-u65-512")
    assert (answer.status, answer.complete, answer.cpu_ops) == ("compiled", False, (f"CUSTOM:{code} custom",))
    assert (answer.cycles, answer.macs) == (truth["cycles_total"], truth["nn_macs"])
    written = kinds_in((tmp_path / "custom-ethos-u65-512" / "custom_vela.tflite").read_bytes())
    assert [kind for kind in written if kind != "CUSTOM:ethos-u"] == [f"CUSTOM:{code}"]


@pytest.mark.parametrize("accelerator", TARGETS)
def test_floats_between_int8_layers_are_named(tmp_path: Path, accelerator):
    class Exponential(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.second(torch.exp(self.first(x)))

    path = tmp_path / "mixed.tflite"
    path.write_bytes(int8_file(Exponential()))
    answer, truth = measured(path.read_bytes(), accelerator), vela(path, accelerator)
    written = kinds_in((tmp_path / f"mixed-{accelerator}" / "mixed_vela.tflite").read_bytes())
    assert [op.split()[0] for op in answer.cpu_ops] == [kind for kind in written if kind != "CUSTOM:ethos-u"] != []
    assert (answer.status, answer.complete, answer.cycles) == ("compiled", False, truth["cycles_total"])


def test_nothing_but_custom_operators_is_refused():
    data = with_custom(int8_file(plain()), "Mine", -1, alone=True)
    assert is_refused(measured(data), "CUSTOM:Mine")


@pytest.mark.parametrize("accelerator", TARGETS)
@pytest.mark.parametrize("second", ["the same", "another", "none"])
def test_every_subgraph_counts(tmp_path: Path, accelerator, second):
    data = int8_file(plain())
    other = {"the same": data, "another": int8_file(nn.Conv2d(3, 5, 3)), "none": None}[second]
    path = tmp_path / "two.tflite"
    path.write_bytes(with_subgraph(data, other))
    answer, truth = measured(path.read_bytes(), accelerator), vela(path, accelerator)
    assert (answer.status, answer.cycles, answer.macs) == ("compiled", truth["cycles_total"], truth["nn_macs"])
    assert answer.macs >= measured(data, accelerator).macs > 0
    assert answer.ops.empty  # the compiler keeps those of the last one


def test_a_compiled_second_subgraph_is_seen(tmp_path: Path):
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_file(plain()))
    vela(path, "ethos-u65-512")
    compiled = (tmp_path / "net-ethos-u65-512" / "net_vela.tflite").read_bytes()
    assert is_refused(measured(with_subgraph(path.read_bytes(), compiled)), "compiled already")


def test_a_file_without_operators_is_refused():
    from .tflite_files import edited

    def empty(model):
        model.subgraphs[0].operators, model.subgraphs[0].outputs = [], model.subgraphs[0].inputs

    assert is_refused(measured(edited(int8_file(plain()), empty)), "no operators")


@pytest.mark.parametrize("name", ["mobilenetv2_100", "ghostnet_100"])
@pytest.mark.parametrize("accelerator", TARGETS)
def test_multiply_accumulates_are_the_command_lines(tmp_path: Path, name, accelerator):
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(traced(name, 96)).data)
    answer, truth = EthosU(accelerator).measure(path), vela(path, accelerator)
    assert (answer.macs, answer.cycles) == (truth["nn_macs"], truth["cycles_total"])
    assert answer.macs == answer.ops.macs.sum()
