"""The graph runs in torch as the model does (checked on the CPU), and a machine without a GPU says so."""

import pytest
import torch

from workbench.errors import UnknownName
from workbench.estimators.random_networks import sample
from workbench.graph.trace import trace
from workbench.hardware import list_targets, resolve
from workbench.hardware.torch_cuda import TorchCuda, gpu_name, run_graph

from ..graph.zoo import lively


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "ghostnet_100", "convnext_atto"])
def test_the_graph_is_the_model(name):
    model = lively(name)
    state = model.state_dict()
    call = run_graph(trace(model, (3, 64, 64)), lambda key, shape: state[key].numpy() if key in state else None, "cpu")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(call(x)[0], model(x), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(gpu_name() is not None, reason="this machine has a GPU")
def test_without_a_gpu():
    assert "torch-cuda" not in set(list_targets().name)
    assert "no GPU" in TorchCuda().measure_graph(sample(2)).reason
    with pytest.raises(UnknownName, match="torch-cuda"):
        resolve("torch-cuda")


@pytest.mark.skipif(gpu_name() is None, reason="needs a GPU")
def test_on_a_gpu():
    assert resolve("torch-cuda").measure_graph(sample(2)).complete
