"""`Graph.params` is what torch counts: the values of the module's parameters, each once."""

import pytest
import timm
import torch
from timm.layers import BlurPool2d
from torch import Tensor, nn

from workbench.estimators.block_table import block_params
from workbench.graph import Param, Plan, Resize, SetInput, rewrite
from workbench.graph.json_document import graph_from_json, graph_to_json
from workbench.graph.trace import trace
from workbench.surgery import build


@pytest.mark.parametrize(
    "name",
    "edgenext_xx_small efficientformerv2_s0 levit_128s xcit_nano_12_p16_224 test_vit_relpos test_vit2 test_nfnet "
    "coatnet_nano_rw_224 swinv2_cr_tiny_224 tiny_vit_5m_224 test_resnet sequencer2d_s".split(),
)
def test_params_are_those_of_the_module(name: str) -> None:
    """Tables of biases by index, positions from sines, gains, masks and qkv biases are computed from parameters."""
    model = timm.create_model(name)
    graph = trace(model)
    assert graph.params == sum(p.numel() for p in model.parameters())
    assert sum(block_params(graph)) == graph.params
    assert graph_from_json(graph_to_json(graph), name).params == graph.params


class Coordinates(nn.Module):
    """A convolution that also reads where it is, from a buffer and from a grid made on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 4, 3, padding=1)
        self.register_buffer("place", torch.rand(1, 2, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.cat((x, self.place, torch.linspace(-1, 1, 8).expand(1, 1, 8, 8)), 1))


class Tied(nn.Module):
    """Two layers with one weight, a head that only training runs, and a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.aside = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 9, 1)
        self.two.weight, self.token = self.one.weight, nn.Parameter(torch.rand(7))

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) if not self.training else self.aside(x)


class Cut(nn.Module):
    """Weights that are parts of a parameter, and what an LSTM reads."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.lstm = nn.Parameter(torch.rand(9, 8)), nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x.mean(3))[0].sum() + (x.mean(3) @ self.all[:3].T + x.mean(3) @ self.all[3:6].T).sum()


OWN_MODULES = {
    "coordinates": Coordinates,
    "tied and unread": Tied,
    "cut": Cut,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)),
    "a buffer as kernel": lambda: nn.Sequential(nn.Conv2d(3, 8, 1), BlurPool2d(8)),
    "attention": lambda: nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(64, 4, 32, batch_first=True)),
}


@pytest.mark.parametrize("name", OWN_MODULES)
def test_params_are_those_of_ones_own_module(name: str) -> None:
    model = OWN_MODULES[name]()
    assert trace(model, (3, 8, 8)).params == sum(p.numel() for p in model.parameters())


def test_what_a_parameter_is_computed_from_is_in_no_digest() -> None:
    """Sessions and kept figures name graphs by it."""
    assert repr(Param("value", "a", (2,), True, (("b", (None,)),))) == repr(Param("value", "a", (2,)))


def test_params_follow_edits() -> None:
    """A gain a channel scales each standardised weight: both are narrower after the edit."""
    model = timm.create_model("test_nfnet")
    graph = trace(model)
    name, segment = next((n, s) for n, s in graph.channels.segments.items() if not s.frozen and s.width > 8)
    edit = Resize(name, segment.width - segment.multiple * segment.chunks)
    edited = build(model, graph, [Plan((edit,))])
    assert rewrite(graph, Plan((edit,))).params == sum(p.numel() for p in edited.parameters()) < graph.params


def test_what_nobody_reads_stays_until_its_module_goes() -> None:
    graph = trace(Tied(), (3, 8, 8))
    assert [name for name, _ in graph.unread] == ["token", "aside.weight", "aside.bias"]
    assert rewrite(graph, Plan((SetInput((3, 16, 16)),))).params == graph.params
