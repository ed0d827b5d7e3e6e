"""Our int8 writer against the route users deploy with: litert-torch, ai-edge-quantizer, `vela` on the command line.

Nothing is shared but the weights, so equal cycles mean that the lowering is the deployed one.
"""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from workbench.graph.trace import trace
from workbench.targets import resolve

from ..targets.command_line import vela

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.filterwarnings("ignore"),  # the converter's dependencies warn in a dozen ways
]

# densenet121 makes the compiler give up on u65 and u85, on both routes' files or the deployed one's
CASES = {
    "mobilenetv2_100": "ethos-u65-512",
    "mnasnet_100": "ethos-u65-512",
    "efficientnet_lite0": "ethos-u65-512",
    "mobilenetv3_large_100": "ethos-u65-512",
    "resnet18": "ethos-u65-512",
    "regnetx_004": "ethos-u65-512",
    "rexnet_100": "ethos-u65-512",
    "ghostnet_100": "ethos-u65-512",
    "densenet121": "ethos-u55-128",
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


def _deployed(model: nn.Module, folder: Path) -> Path:
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    images = torch.randn(1, 224, 224, 3)
    floats, out = folder / "float.tflite", folder / "int8.tflite"
    litert_torch.convert(litert_torch.to_channel_last_io(model, args=[0]), (images,)).export(str(floats))
    signatures = Interpreter(model_path=str(floats)).get_signature_list()
    signature = next(iter(signatures))
    source = signatures[signature]["inputs"][0]
    random = np.random.default_rng(0)
    samples = [{source: random.standard_normal((1, 224, 224, 3), dtype=np.float32)} for _ in range(2)]
    job = quantizer.Quantizer(str(floats), recipe.static_wi8_ai8())
    job.quantize(job.calibrate({signature: samples})).export_model(str(out))
    return out
