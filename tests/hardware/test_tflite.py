"""The int8 file does what the network does: run by another runtime, compared with torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.graph.trace import trace
from workbench.hardware.lowering import lower, unsupported
from workbench.hardware.tflite import write_tflite

from ..graph.execute import tensors
from ..graph.networks import Concat, Decoder, Grouped, PartialResidual, Residual, SqueezeExcite
from ..graph.zoo import traced


class Mixed(nn.Module):
    """Strides, paddings, pools and activations of every kind the file has a form for."""

    def __init__(self, width: int = 8, act: type[nn.Module] = nn.Hardswish) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.bn = nn.BatchNorm2d(width)
        self.act = act()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.dw = nn.Conv2d(width, 2 * width, 5, 1, 2, groups=width)
        self.down = nn.Conv2d(2 * width, width, 3, 2, 1)
        self.mean = nn.AvgPool2d(2)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.pool(self.act(self.bn(self.stem(x))))
        return self.head(self.mean(self.down(self.dw(x).sigmoid())).mean((2, 3)))


def agreement(model: nn.Module, size: int = 32) -> float:
    """Correlation of the int8 file's first output, in LiteRT's reference kernels, with torch's."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    torch.manual_seed(0)
    model.eval()
    graph = trace(model, (3, size, size))
    values = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    images = torch.randn(6, 3, size, size)
    file = write_tflite(graph, lambda name, shape: values.get(name), _ranges(model, graph, images))
    interpreter = Interpreter(model_content=file.data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[-1]
    got, want = [], []
    for image in images:
        scale, zero = source["quantization"]
        data = np.clip(np.rint(image.permute(1, 2, 0)[None].numpy() / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], data)
        interpreter.invoke()
        out_scale, out_zero = target["quantization"]
        value = (interpreter.get_tensor(target["index"]).astype(float) - out_zero) * out_scale
        got.append(np.moveaxis(value, -1, 1) if value.ndim == 4 else value)
        y = model(image[None])
        want.append((y[-1] if isinstance(y, tuple) else y).detach().numpy())
    return float(np.corrcoef(np.ravel(got), np.ravel(want))[0, 1])


def _ranges(model, graph, images):
    runs = [tensors(graph, model.state_dict(), image[None]) for image in images]
    return {n: (min(float(r[n].min()) for r in runs), max(float(r[n].max()) for r in runs)) for n in runs[0]}


@pytest.mark.parametrize("act", [nn.Hardswish, nn.SiLU, nn.ReLU6, nn.Hardsigmoid, nn.LeakyReLU])
def test_int8_follows_float(act):
    assert agreement(Mixed(act=act)) > 0.97


@pytest.mark.parametrize("cls", [Residual, PartialResidual, SqueezeExcite, Grouped])
def test_structures_follow_float(cls):
    assert agreement(cls()) > 0.97


@pytest.mark.parametrize("ratio", [2, 3])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_larger_maps_follow_float(mode, ratio):
    assert agreement(Decoder(mode, ratio), 16 * ratio) > 0.97


@settings(max_examples=5, deadline=None)
@given(width=st.integers(1, 40), size=st.integers(17, 40))
def test_any_width_and_size(width, size):
    assert agreement(Mixed(width, nn.ReLU), size) > 0.95


@pytest.mark.parametrize("name", ["mobilenetv2_100", "mobilenetv3_large_100", "rexnet_100", "ghostnet_100"])
def test_multiply_accumulates_survive_lowering(name):
    graph = traced(name, 96)
    assert sum(op.macs for op in lower(graph)) == graph.macs


def test_the_file_is_the_same_every_time():
    graph = traced("mobilenetv2_100", 96)
    assert write_tflite(graph).data == write_tflite(graph).data


def test_what_has_no_form_is_named():
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return torch.cumsum(self.conv(x), 2)

    graph = trace(Summed(), (3, 16, 16))
    assert "cumsum" in unsupported(lower(graph))[0]
    with pytest.raises(WorkbenchError, match="cumsum"):
        write_tflite(graph)


def test_concat_is_two_outputs_of_one_network():
    assert write_tflite(trace(Concat(), (3, 32, 32))).data[4:8] == b"TFL3"
