"""The table of blocks: the same columns where latencies are known and where they are not, every parameter once."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.estimators import block_table, estimate
from workbench.graph.trace import trace
from workbench.hardware import resolve

from ..graph.zoo import traced


class Shared(nn.Module):
    """A convolution of 16 x 16 x 3 x 3 + 16 = 2320 values that two stages run."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        shared = nn.Conv2d(16, 16, 3, padding=1)
        self.stages = nn.ModuleList(nn.Sequential(shared, nn.ReLU(), nn.Conv2d(16, 16, 1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


class Repeated(nn.Module):
    """The same convolution twice, in one block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(self.conv(x)))


@pytest.mark.parametrize(("module", "channels"), [(Shared(), 3), (Repeated(), 16)], ids=["two blocks", "one block"])
def test_shared_weights_count_once(module, channels):
    graph = trace(module.eval(), (channels, 16, 16))
    params = sum(p.numel() for p in module.parameters())
    tables = block_table(graph), estimate(graph, resolve("ethos-u65-512")).blocks
    for table in tables:
        assert table.params.sum() == graph.params == params
    assert list(tables[0].params) == list(tables[1].params)
    assert tables[0].params.max() >= 2320


def test_without_latencies_it_is_the_same_table():
    graph = traced("mobilenetv2_100", 96)
    latencies, none = estimate(graph, resolve("ethos-u65-512")).blocks, block_table(graph)
    assert none[["latency_ms", "share"]].isna().all(axis=None)
    assert none.drop(columns=["latency_ms", "share"]).equals(latencies.drop(columns=["latency_ms", "share"]))
    assert list(none.columns) == list(latencies.columns)
    assert none["shape"].iloc[0] == "32x48x48"
    assert none.params.sum() == graph.params


def test_a_sessions_blocks_have_one_form_on_every_target():
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    other = session.on("onnxruntime-cpu")
    assert other.try_estimate is None
    assert list(other.blocks["shape"]) == list(session.blocks["shape"])
    assert "not calibrated" in other.blocks.attrs["note"]
