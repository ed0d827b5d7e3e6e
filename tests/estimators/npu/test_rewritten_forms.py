"""Operators that are deployed as others, so that the accelerator takes them, cost what the compiler says."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.estimators import estimate
from workbench.graph.trace import trace
from workbench.hardware import EthosU


class Between(nn.Module):
    """A function of a map between two convolutions."""

    def __init__(self, use: Callable[[Tensor], Tensor], width: int = 24) -> None:
        super().__init__()
        self.first, self.last, self.use = nn.Conv2d(3, 24, 3, 2, 1), nn.Conv2d(width, 32, 3, padding=1), use

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.use(self.first(x)))
        return y


NETWORKS: dict[str, Callable[[], Between]] = {
    "overlapping windows": lambda: Between(lambda x: F.adaptive_avg_pool2d(x, 5)),
    "windows of two sizes": lambda: Between(lambda x: F.adaptive_avg_pool2d(x, (7, 6))),
    "windows of two sizes both ways": lambda: Between(lambda x: F.adaptive_avg_pool2d(x, 7)),
    "largest of windows of two sizes": lambda: Between(lambda x: F.adaptive_max_pool2d(x, (6, 7))),
    "bicubic": lambda: Between(lambda x: F.interpolate(x, scale_factor=2, mode="bicubic")),
    "smaller, bicubic": lambda: Between(lambda x: F.interpolate(x, (17, 12), mode="bicubic")),
}


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
@pytest.mark.parametrize("name", NETWORKS)
def test_rewritten_forms_cost_what_the_compiler_says(name: str, target: str) -> None:
    torch.manual_seed(0)
    graph, ethos = trace(NETWORKS[name](), (3, 48, 48)), EthosU(target)
    measurement, estimated = ethos.measure_graph(graph), estimate(graph, ethos)
    assert measurement.complete, measurement.reason or measurement.cpu_ops
    assert estimated.complete
    assert estimated.latency_ms == pytest.approx(measurement.latency_ms, rel=0.05)
    assert estimated.sram_bytes == pytest.approx(measurement.sram_bytes, rel=0.05)
