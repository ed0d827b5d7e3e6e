"""What a converter or quantiser refuses is said in one sentence, with the layer, and nothing else is written."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import workbench as wb
from workbench.errors import WorkbenchError

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.filterwarnings("ignore"),  # the converter's dependencies warn in a dozen ways
]


class Does(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def network(function: Callable[[Tensor], Tensor]) -> nn.Module:
    blocks = {"stem": nn.Conv2d(3, 8, 3, padding=1), "odd": Does(function), "out": nn.Conv2d(8, 4, 1)}
    layers = nn.Sequential()
    for name, block in blocks.items():
        layers.add_module(name, block)
    return layers.eval()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x - x.median(2, keepdim=True)[0], r"aten\.median\.dim, median of odd \(Does\)$"),
        (lambda x: x.sort(1)[0], "STABLEHLO_SORT.* that makes "),
    ],
    ids=["converter", "quantiser"],
)
def test_the_layer_is_named(
    function: Callable[[Tensor], Tensor], words: str, tmp_path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = wb.open(network(function), input_size=(3, 16, 16))
    x = torch.linspace(0, 1, 16).expand(2, 3, 16, 16).contiguous()
    capfd.readouterr()
    with pytest.raises(WorkbenchError, match=words) as caught:
        session.export(tmp_path / "odd.tflite", calibration=x)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "odd.tflite").exists()


def test_what_cannot_be_traced_is_no_traceback_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    net = network(lambda x: F.pad(x, [0, 1])[..., 1:] - torch.ones(16))
    session = wb.open(net, input_size=(3, 16, 16))
    capfd.readouterr()
    with pytest.raises(WorkbenchError, match="does not run on images of 32 x 32"):
        session.apply(wb.InputSize(32))
    assert capfd.readouterr().err == ""
