"""The table of kinds holds what the tracer makes, no more and no less, and the tables of rules name its kinds only."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import NotApplicable
from workbench.graph import Graph, Plan, SetInput, rewrite
from workbench.graph import shapes as shape_rules
from workbench.graph.channels import rules
from workbench.graph.kinds import KINDS, SMOOTH_RECTIFIERS
from workbench.graph.trace import trace
from workbench.hardware import onnx_rules
from workbench.hardware.lowering import attention, elementwise, layers, normalisation, pooling, recurrent, shapes

NO_CHANNEL_RULE = {"avg_pool1d", "expand", "gru", "lstm", "rms_norm", "rnn", "roll"}
NO_SHAPE_RULE = {"input", "param", "expand"}


class Everything(nn.Module):
    """Runs one operator of every kind, and of every use that has an attribute of its own, on one map."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.maps = nn.ModuleList(
            (
                nn.Conv2d(4, 4, 3), nn.ConvTranspose2d(4, 4, 2, 2), nn.Linear(8, 8), nn.BatchNorm2d(4), nn.LayerNorm(8),
                nn.RMSNorm(8, eps=1e-6), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.PReLU(),
                nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2),
                nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2), nn.UpsamplingNearest2d(scale_factor=2),
                nn.UpsamplingBilinear2d(scale_factor=2), nn.ReflectionPad2d(1), nn.ZeroPad2d(1),
            )
        )  # fmt: skip
        self.lstm, self.gru, self.rnn = nn.LSTM(8, 3), nn.GRU(8, 3), nn.RNN(8, 3)
        self.rows = nn.ModuleList((nn.Conv1d(4, 4, 3, padding=1), nn.AvgPool1d(2)))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [*(m(x) for m in self.maps), *(m(x.flatten(2)) for m in self.rows), *self.pointwise(x), *self.along(x)]

    def pointwise(self, x: Tensor) -> Iterator[Tensor]:
        for function in (
            F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.silu, torch.sigmoid, torch.tanh, F.gelu, F.mish, F.elu,
            F.leaky_relu, F.softplus, torch.exp, torch.sqrt, torch.rsqrt, torch.abs, torch.neg, torch.reciprocal,
        ):  # fmt: skip
            yield function(x)
        yield F.gelu(x, approximate="tanh")
        yield from (torch.log(x), F.elu(x, 0.5), F.selu(x), F.celu(x, 2.0))
        yield from (x.clamp(-1, 2), x**3, x + 1, 1 - x, x * self.scale, x / x, torch.maximum(x, -x))
        yield from (torch.minimum(x, -x), torch.addcmul(x, x, x))

    def along(self, x: Tensor) -> Iterator[Tensor]:
        yield from (x.mean((2, 3)), x.sum(1, keepdim=True), x.amax(1), torch.linalg.vector_norm(x, dim=1), x.var(1))
        yield from (x.amin(1), self.lstm(x[0])[0], self.gru(x[0])[0], self.rnn(x[0])[0])
        yield from (
            x.log_softmax(1),
            x.softmax(-1),
            x.flatten(1),
            x.permute(0, 2, 3, 1),
            torch.cat((x, x), 1),
            x[:, 1:3],
        )
        yield from (x.roll(1, 2), x.mean((2, 3), keepdim=True).expand(-1, -1, 8, 8).flatten(1), x @ x)
        yield F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.5)


@pytest.fixture(scope="module")
def everything() -> Graph:
    return trace(Everything(), (4, 8, 8))


def test_a_row_for_every_kind_the_tracer_makes(everything):
    assert {op.kind for op in everything.ops} == set(KINDS)


def test_operators_have_the_attributes_and_parameters_of_their_row(everything):
    optional = set()
    for op in everything.ops:
        row, attrs = KINDS[op.kind], {name for name, _ in op.attrs}
        assert row.attrs <= attrs <= row.attrs | row.optional, op
        assert {p.role for p in op.params} <= set(row.params), op
        optional |= {(op.kind, name) for name in attrs - row.attrs}
    arithmetic = {("add", "scalar"), ("sub", "scalar"), ("sub", "reverse"), ("div", "scalar"), ("div", "reverse")}
    of_their_own = {
        ("gelu", "approximate"),
        ("resize", "align_corners"),
        ("elu", "alpha"),
        ("elu", "scale"),
        ("elu", "input_scale"),
        ("attention", "scale"),
        ("attention", "causal"),
    }
    assert optional == arithmetic | of_their_own


def test_rules_for_channels_and_shapes_name_every_kind_or_say_which_they_lack():
    assert set(rules.RULES) == set(KINDS) - NO_CHANNEL_RULE
    assert not set(shape_rules.RULES) & set(shape_rules.RECORDED_RULES)
    assert set(shape_rules.RULES) | set(shape_rules.RECORDED_RULES) == set(KINDS) - NO_SHAPE_RULE


FILES = (attention, elementwise, layers, normalisation, pooling, recurrent, shapes, onnx_rules)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__.removeprefix("workbench.hardware."))
def test_rules_of_deployed_operators_name_kinds_of_the_table(file):
    assert set(file.RULES) <= set(KINDS)


def test_what_has_no_row_is_reported():
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).cumsum(2)

    graph = trace(Summed(), (3, 8, 8))
    (op,) = (op for op in graph.ops if op.kind not in KINDS)
    assert op.kind == "aten.cumsum"
    assert graph.channels.segments["conv"].frozen.startswith("no rule says what aten.cumsum does to channels")
    with pytest.raises(NotApplicable, match=r"no rule says how aten\.cumsum changes"):
        rewrite(Graph(graph.ops, graph.outputs, graph.modules), Plan((SetInput((3, 16, 16)),)))


def test_the_default_of_replaced_activations_keeps_its_order():
    """Recipes and sessions repeat it."""
    assert SMOOTH_RECTIFIERS == ("silu", "gelu", "mish", "elu")
