"""Where a compiler refuses a network and names no layer, parts of the network tell which it is."""

from dataclasses import dataclass
from typing import Any

import pytest
from torch import nn

import workbench as wb
from workbench.graph import Graph
from workbench.graph.trace import trace
from workbench.hardware import EthosU, Measurement
from workbench.hardware.refused_operator import refused_operator


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Sigmoid(), nn.Conv2d(8, 4, 1), nn.Softmax(1)
    ).eval()


@dataclass(frozen=True)
class WithoutSigmoid(EthosU):
    """A compiler that stops at sigmoids and says nothing of where."""

    def measure_graph(self, graph: Graph, weights: Any = None, time_limit_s: float = 60.0) -> Measurement:
        if any(op.kind == "sigmoid" for op in graph.ops):
            return Measurement("refused", self.name, f"error {len(graph.ops)} in pass", compiler=self.compiler)
        return super().measure_graph(graph, weights, time_limit_s)


def test_verify_names_the_layer() -> None:
    session = wb.open(network(), target=WithoutSigmoid("ethos-u65-512"), input_size=(3, 16, 16))
    verification = session.verify()
    assert verification.status == "refused"
    assert verification.reason.endswith(" in pass, at 3 (sigmoid)")


@pytest.mark.parametrize("count", [3, 4, 6])
def test_the_first_operator_that_is_refused(count: int) -> None:
    graph = trace(network(), (3, 16, 16))
    parts: list[Graph] = []

    def refuses(part: Graph) -> bool:
        parts.append(part)
        return len(part.ops) >= count

    assert refused_operator(graph, refuses) == graph.ops[count - 1]
    assert len(parts) <= 3
    assert all(part.outputs and set(part.outputs) <= {op.name for op in part.ops} for part in parts)


def test_where_everything_is_refused_it_is_no_operator() -> None:
    assert refused_operator(trace(network(), (3, 16, 16)), lambda part: True) is None
