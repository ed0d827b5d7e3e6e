"""Our int8 writer against the route users deploy with: litert-torch, ai-edge-quantizer, `vela` on the command line.

Nothing is shared but the weights, so equal cycles mean that the lowering is the deployed one.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from ethosu.vela.tflite import BuiltinOperator, Model
from torch import nn

from workbench.graph.trace import trace
from workbench.hardware import resolve
from workbench.hardware.tflite import write_tflite

from ..hardware.command_line import vela

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.filterwarnings("ignore"),  # the converter's dependencies warn in a dozen ways
]

CASES = {
    "mobilenetv3_large_100": "ethos-u65-512",
    "regnetx_004": "ethos-u65-512",
    "ghostnet_100": "ethos-u65-512",
}


@pytest.mark.parametrize("name", CASES)
def test_cycles_equal_the_deployed_route(name, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    _randomise(model)
    target = resolve(CASES[name])
    theirs = vela(_deployed(model, tmp_path), target.name)
    graph = trace(model, (3, 224, 224))
    values = {key: value.numpy() for key, value in model.state_dict().items()}
    ours = target.measure_graph(graph, lambda key, shape: values.get(key))
    assert ours.status == "compiled", ours.reason
    assert ours.cycles == pytest.approx(theirs["cycles_total"], rel=0.02)
    # the compiler also counts multiplications for means and for the ReLU that follows a grouped convolution
    layers = [op.name for op in graph.ops if op.kind in ("conv2d", "linear")]
    matmul = ours.ops.kind.isin(["Conv2D", "DepthwiseConv2D", "FullyConnected"])
    assert ours.ops[matmul & ours.ops.source.isin(layers)].macs.sum() == graph.macs


# our operators beside those of the deployed route, where they differ: it turns the last map of a test_convnext2 round
# before it takes the mean
TRANSFORMERS = {
    "vit_tiny_patch16_224": {},
    "mobilevit_xxs": {},
    "convnextv2_atto": {},
    "test_convnext2": {"TRANSPOSE": -1},
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_operators_equal_the_deployed_route(name, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    _randomise(model)
    size = model.pretrained_cfg["input_size"]
    theirs = _kinds(_deployed(model, tmp_path, size[1:]).read_bytes())
    ours = _kinds(write_tflite(trace(model, size)).data)
    assert {k: ours[k] - theirs[k] for k in ours | theirs if ours[k] != theirs[k]} == TRANSFORMERS[name]


def _kinds(data: bytes) -> Counter[str]:
    """Operators by kind, but for views and for requantisations, which depend on the calibration."""
    names = {value: name for name, value in vars(BuiltinOperator.BuiltinOperator).items() if name[0] != "_"}
    model = Model.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    kinds = Counter(names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes)
    return Counter({kind: n for kind, n in kinds.items() if kind not in ("RESHAPE", "QUANTIZE")})


def _randomise(model: nn.Module) -> None:
    """Freshly made residual branches end in a zero batch norm and would be folded away."""
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            n = norm.num_features
            with torch.no_grad():
                norm.weight.copy_(torch.rand(n, generator=generator) + 0.5)
                norm.bias.copy_(torch.randn(n, generator=generator) * 0.1)
                norm.running_mean.copy_(torch.randn(n, generator=generator) * 0.1)
                norm.running_var.copy_(torch.rand(n, generator=generator) + 0.5)
    with torch.no_grad():  # layer norms and scales of one and zero fold away too
        for parameter in model.parameters():
            if parameter.numel() == max(parameter.shape, default=0):
                parameter.add_(torch.rand(parameter.shape, generator=generator) * 0.1)


def _deployed(model: nn.Module, folder: Path, size: tuple[int, int] = (224, 224)) -> Path:
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    images = torch.randn(1, *size, 3)
    floats, out = folder / "float.tflite", folder / "int8.tflite"
    litert_torch.convert(litert_torch.to_channel_last_io(model, args=[0]), (images,)).export(str(floats))
    signatures = Interpreter(model_path=str(floats)).get_signature_list()
    signature = next(iter(signatures))
    source = signatures[signature]["inputs"][0]
    random = np.random.default_rng(0)
    samples = [{source: random.standard_normal((1, *size, 3), dtype=np.float32)} for _ in range(2)]
    job = quantizer.Quantizer(str(floats), recipe.static_wi8_ai8())
    job.quantize(job.calibrate({signature: samples})).export_model(str(out))
    return out
