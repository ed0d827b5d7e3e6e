"""The ONNX file computes what torch does, float and int8, and what the runtime makes of it is told."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import InputError, UnknownName, WorkbenchError
from workbench.estimators.random_networks import sample
from workbench.graph.trace import trace
from workbench.hardware import OnnxRuntimeCpu, resolve
from workbench.hardware.onnx_file import no_onnx_form, write_onnx
from workbench.hardware.onnx_timing import open_session

from ..graph.execute import tensors
from ..graph.networks import Concat, Grouped, PartialResidual, Residual, SqueezeExcite
from ..graph.zoo import lively
from .test_tflite import Mixed

QUICK = {"rounds": 2, "seconds": 0.01}


def outputs(model: nn.Module, size: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """What the runtime and torch make of the same images, first output."""
    torch.manual_seed(0)
    model.eval()
    graph = trace(model, (3, size, size))
    state = model.state_dict()
    images = torch.randn(4, 3, size, size)
    with torch.no_grad():
        runs = [tensors(graph, state, image[None]) for image in images]
    ranges = {n: (min(float(r[n].min()) for r in runs), max(float(r[n].max()) for r in runs)) for n in runs[0]}
    data = write_onnx(
        graph, lambda name, shape: state[name].reshape(shape).numpy() if name in state else None, dtype, ranges
    )
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = open_session(data)
    feed = session.get_inputs()[0].name
    got = [session.run([graph.outputs[0]], {feed: image[None].numpy()})[0] for image in images]
    return np.ravel(got), np.ravel([run[graph.outputs[0]].numpy() for run in runs])


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224"])
def test_float_is_torch(name):
    got, want = outputs(lively(name), 224 if "vit" in name else 64, "float32")
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize(
    "act", [nn.Hardswish, nn.SiLU, nn.ReLU6, nn.Hardsigmoid, nn.LeakyReLU, nn.GELU, nn.PReLU, nn.Mish]
)
def test_activations(act):
    got, want = outputs(Mixed(act=act), 32, "float32")
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)
    got, want = outputs(Mixed(act=act), 32, "int8")
    assert np.corrcoef(got, want)[0, 1] > 0.97


@pytest.mark.parametrize("cls", [Residual, PartialResidual, SqueezeExcite, Grouped, Concat])
def test_structures(cls):
    got, want = outputs(cls(), 32, "float32")
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)
    got, want = outputs(cls(), 32, "int8")
    assert np.corrcoef(got, want)[0, 1] > 0.97


class Pools(nn.Module):
    """Ceilings and paddings in every combination the exporter keeps."""

    def __init__(self, kernel: int, stride: int, ceil: bool, counts: bool) -> None:
        super().__init__()
        self.most = nn.MaxPool2d(kernel, stride, kernel // 2, ceil_mode=ceil)
        self.mean = nn.AvgPool2d(kernel, stride, kernel // 2, ceil_mode=ceil, count_include_pad=counts)

    def forward(self, x):
        return torch.cat([self.most(x), self.mean(x)], 1)


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 4), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(9, 24))
def test_pools(kernel, stride, ceil, counts, size):
    got, want = outputs(Pools(kernel, stride, ceil, counts), size, "float32")
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["onnxruntime-cpu", "onnxruntime-cpu-int8"])
def test_a_graph_is_timed(name):
    target = OnnxRuntimeCpu(resolve(name).dtype, **QUICK)
    measured = target.measure_graph(sample(2))
    assert measured.complete, measured.reason
    assert (measured.kind, measured.latency_ms) == ("measured", min(measured.rounds_ms))
    assert len(measured.rounds_ms) == target.rounds
    assert list(measured.ops.columns) == ["source", "kind", "latency_ms"]
    assert (measured.ops.latency_ms > 0).any()


def test_one_bad_network_does_not_spoil_the_others():
    class Rolled(nn.Module):
        def forward(self, x):
            return torch.roll(x, 1, 2)

    graph = trace(Rolled(), (3, 16, 16))
    assert "roll" in no_onnx_form(graph)[0]
    with pytest.raises(WorkbenchError, match="roll"):
        write_onnx(graph)
    measured = list(OnnxRuntimeCpu(**QUICK).measure_graphs([sample(2), graph, sample(4)]))
    assert [m.status for m in measured] == ["measured", "refused", "measured"]
    assert "roll" in measured[1].reason


def test_files_are_timed_as_they_are(tmp_path: Path):
    target = OnnxRuntimeCpu(threads=2, **QUICK)
    path = tmp_path / "model.onnx"
    path.write_bytes(write_onnx(sample(2)))
    assert target.measure(path).status == "measured"
    assert target.measure(b"nonsense").status == "refused"
    assert target.measure(path.read_bytes(), time_limit_s=0.01).status == "timeout"
    with pytest.raises(InputError, match="no file"):
        target.measure(tmp_path / "other.onnx")


def test_the_target_is_its_configuration():
    target = OnnxRuntimeCpu("int8", threads=2)
    assert target.name == "onnxruntime-cpu-int8 (threads=2)"
    assert target.digest != OnnxRuntimeCpu("int8").digest
    assert len({target, OnnxRuntimeCpu("int8", 2)}) == 1
    with pytest.raises(UnknownName, match="float32"):
        OnnxRuntimeCpu("float3")
    with pytest.raises(InputError, match="at least 1"):
        OnnxRuntimeCpu(threads=0)
