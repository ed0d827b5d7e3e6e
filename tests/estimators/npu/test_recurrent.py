"""Recurrent layers, unrolled, cost what the compiler says."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workbench.estimators import estimate
from workbench.graph.trace import trace
from workbench.hardware import EthosU


class Rows(nn.Module):
    """A recurrent layer over the first columns of a map; its outputs, or its last state alone."""

    def __init__(self, layer: nn.Module, width: int, read: Callable[[tuple[Tensor, Tensor]], Tensor]) -> None:
        super().__init__()
        self.first, self.layer, self.head, self.read = nn.Conv2d(3, 8, 3, 2, 1), layer, nn.Linear(width, 5), read

    def forward(self, x: Tensor) -> Tensor:
        rows = self.first(x).permute(0, 3, 1, 2).flatten(2)[:, :6]
        scores: Tensor = self.head(self.read(self.layer(rows)))
        return scores


NETWORKS = {
    "gru": lambda: Rows(nn.GRU(256, 64, batch_first=True), 64, lambda y: y[0]),
    "gru, two layers, the last state": lambda: Rows(nn.GRU(256, 24, 2, batch_first=True), 24, lambda y: y[1][-1]),
    "gru, the last output": lambda: Rows(nn.GRU(256, 48, batch_first=True), 48, lambda y: y[0][:, -1]),
    "rnn": lambda: Rows(nn.RNN(256, 64, batch_first=True), 64, lambda y: y[0]),
}


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
@pytest.mark.parametrize("name", NETWORKS)
def test_unrolled_layers_cost_what_the_compiler_says(name: str, target: str) -> None:
    torch.manual_seed(0)
    graph, ethos = trace(NETWORKS[name](), (3, 64, 64)), EthosU(target)
    measurement, estimated = ethos.measure_graph(graph), estimate(graph, ethos)
    assert measurement.complete, measurement.reason or measurement.cpu_ops
    assert estimated.complete
    assert estimated.latency_ms == pytest.approx(measurement.latency_ms, rel=0.05)
    assert estimated.sram_bytes == pytest.approx(measurement.sram_bytes, rel=0.05)
