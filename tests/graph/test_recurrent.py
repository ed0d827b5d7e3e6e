"""Recurrent layers: an operator a layer and direction, whatever states are given or read."""

import pytest
import torch
from torch import Tensor, nn

from workbench.graph.kinds import KINDS
from workbench.graph.trace import trace

from .test_trace import assert_computes_the_same

RECURRENT_KINDS = {"lstm": 4, "gru": 3, "rnn": 1}  # and the gates of each
RECURRENT = {
    "lstm": lambda: nn.LSTM(8, 5, batch_first=True),
    "both ways, twice": lambda: nn.LSTM(8, 5, 2, bidirectional=True),
    "without biases": lambda: nn.LSTM(8, 5, bias=False),
    "gru": lambda: nn.GRU(8, 5, batch_first=True),
    "gru both ways, twice": lambda: nn.GRU(8, 5, 2, bidirectional=True),
    "gru without biases": lambda: nn.GRU(8, 5, bias=False),
    "rnn": lambda: nn.RNN(8, 5),
    "rnn of rectifiers": lambda: nn.RNN(8, 5, nonlinearity="relu"),
}


class Read(nn.Module):
    """What a recurrent layer makes of the rows of a picture of one channel."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layer(x.flatten(1, 2))[0]
        return output


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_layer_is_a_layer_and_direction_an_operator(name: str) -> None:
    model = Read(RECURRENT[name]())
    graph = trace(model, (1, 6, 8))
    layers = [op for op in graph.ops if op.kind in RECURRENT_KINDS]
    assert len(layers) == (4 if "twice" in name else 1)
    read = {op: graph.by_name[op.inputs[0]].shape[-1] for op in layers}
    assert graph.macs == sum(6 * RECURRENT_KINDS[op.kind] * 5 * (read[op] + 5) for op in layers)
    assert_computes_the_same(model, graph, torch.randn(1, 1, 6, 8))


class Streaming(nn.Module):
    """A step of a layer and of a cell behind it, from the states of the step before; all states are read."""

    def __init__(self, layer: nn.Module, cell: nn.Module) -> None:
        super().__init__()
        self.layer, self.cell = layer, cell

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.flatten(1, 2), x.flatten(1, 2).permute(0, 2, 1)
        y, state = self.layer(rows[:, :2], columns[:, :2, :5].permute(1, 0, 2))
        first: Tensor = self.cell(y[:, 0])
        return torch.cat([self.cell(y[:, 1], first), *state], 1)


@pytest.mark.parametrize("layer", [nn.GRU, nn.RNN])
def test_states_of_other_layers_than_an_lstm_are_given_and_read(layer: type[nn.Module]) -> None:
    model = Streaming(layer(8, 5, 2, batch_first=True), (nn.GRUCell if layer is nn.GRU else nn.RNNCell)(5, 5))
    graph = trace(model, (1, 6, 8))
    assert [op.kind for op in graph.ops if op.kind in RECURRENT_KINDS] == [layer.__name__.lower()] * 4
    assert {op.kind for op in graph.ops} <= set(KINDS)
    assert_computes_the_same(model, graph, torch.randn(1, 1, 6, 8))


def test_a_state_that_is_given_or_read_has_no_kind() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            state: Tensor = self.layer(x.flatten(1, 2))[1][0]
            return state

    assert any(op.kind == "aten.lstm" for op in trace(Last(), (1, 6, 8)).ops)
