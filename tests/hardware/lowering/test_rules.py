"""Every rule computes what torch computes, run on real numbers from TFLite's definitions of the operators."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.graph import Graph, Op
from workbench.graph.trace import trace
from workbench.hardware.lowering import lower, unsupported
from workbench.hardware.tflite import write_tflite

from ...graph.zoo import lively
from ..execute import execute


def assert_computes_the_same(model: nn.Module, size: tuple[int, int, int] = (3, 8, 12)) -> list[str]:
    """The kinds of the lowered operators, after running them."""
    torch.manual_seed(0)
    model = model.eval().double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
    image = torch.randn(1, *size, dtype=torch.float64)
    graph = trace(model, size)
    ops = lower(graph)
    assert not unsupported(ops)
    with torch.no_grad():
        got = execute(graph, ops, model.state_dict(), image)[ops[-1].name]
        want = model(image)
    if want.dim() == 4 and got.shape != want.shape:
        want = want.permute(0, 2, 3, 1)
    torch.testing.assert_close(got.reshape(want.shape), want, rtol=1e-9, atol=1e-9)
    assert write_tflite(graph).data[4:8] == b"TFL3"
    return [op.kind for op in ops]


class Behind(nn.Module):
    """Layers behind a convolution, in the order in which a function uses them; a convolution behind them if asked."""

    def __init__(self, use: Callable[..., Tensor], *layers: nn.Module, tail: bool = False) -> None:
        super().__init__()
        self.conv, self.layers, self.use = nn.Conv2d(3, 8, 1), nn.ModuleList(layers), use
        self.scale, self.token = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(1, 1, 8))
        self.wide = nn.Parameter(torch.randn(8, 5))
        self.place = nn.Parameter(torch.randn(1, 8, 8, 12))
        self.tail = nn.Conv2d(8, 4, 1) if tail else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.use(self, self.conv(x), *self.layers))


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def heads(x: Tensor) -> Tensor:
    return tokens(x).unflatten(2, (2, 4)).transpose(1, 2)


NORMS = {
    "layer norm of tokens": (lambda s, x, n: n(tokens(x)).flatten(1), [nn.LayerNorm(8)]),
    "layer norm of channels": (lambda s, x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), [nn.LayerNorm(8)]),
    "layer norm of rows": (lambda s, x, n: n(x), [nn.LayerNorm(12)]),
    "layer norm into a layer": (lambda s, x, n, f: f(n(tokens(x))), [nn.LayerNorm(8), nn.Linear(8, 5)]),
    "layer norm read twice": (lambda s, x, n, f: f(n(tokens(x))) + n(tokens(x)), [nn.LayerNorm(8), nn.Linear(8, 8)]),
    "plain layer norm": (lambda s, x, n: n(tokens(x)), [nn.LayerNorm(8, elementwise_affine=False)]),
    "rms norm": (lambda s, x, n: n(tokens(x)), [nn.RMSNorm(8, eps=1e-6)]),
    "group norm": (lambda s, x, n: n(x), [nn.GroupNorm(4, 8)]),
    "group norm over all": (lambda s, x, n: n(x), [nn.GroupNorm(1, 8)]),
    "norm along the last axis": (lambda s, x: F.normalize(tokens(x), dim=-1), []),
    "norm over channels": (lambda s, x: F.normalize(x, dim=1), []),
    "variance": (lambda s, x: x * x.var(1, keepdim=True), []),
    "variance of tokens": (lambda s, x: x.permute(0, 2, 3, 1).var((1, 2), correction=0), []),
    "batch norm of rows": (
        lambda s, x, f, n: n(f(tokens(x)).flatten(0, 1)).reshape(1, 96, 6),
        [nn.Linear(8, 6), nn.BatchNorm1d(6)],
    ),
}
ARITHMETIC = {
    "layer scale folds": (lambda s, x, c: x.relu() + c(x) * s.scale.reshape(1, -1, 1, 1), [nn.Conv2d(8, 8, 3, 1, 1)]),
    "scale of tokens": (lambda s, x, f: f(tokens(x)) * s.scale + s.token, [nn.Linear(8, 8)]),
    "a tensor of the model on a map": (lambda s, x: x.relu() * s.place, []),
    "divided by a tensor of the model": (lambda s, x: x.relu() / s.scale.reshape(1, -1, 1, 1), []),
    "a tensor of the model first": (lambda s, x: s.place - x.sigmoid(), []),
    "class token and position": (lambda s, x: torch.cat([s.token.expand(1, -1, -1), tokens(x)], 1) + s.token, []),
    "reversed": (lambda s, x: (1 - x.sigmoid()) / (2 / x.sigmoid()), []),
    "negated": (lambda s, x: torch.cat([-x.sigmoid(), x], 1), []),
    "clamped": (lambda s, x: x.sigmoid().clamp(0.2, 0.6) + x.relu().clamp(min=0.1) + x.tanh().clamp(max=0.1), []),
    "powers": (lambda s, x: x.sigmoid() ** 2 + x.sigmoid().sqrt() + (x.sigmoid() + 1).rsqrt(), []),
    "real numbers": (lambda s, x: x.sigmoid().exp() + x.abs(), []),
    "addcmul": (lambda s, x: torch.addcmul(s.place, s.scale.reshape(1, -1, 1, 1), x.sigmoid()), []),
    "lower rank": (lambda s, x: x.relu() * x.mean((0, 1)), []),
}
PRODUCTS = {
    "attention": (lambda s, x: F.scaled_dot_product_attention(heads(x), heads(x).relu(), heads(x)), []),
    "attention, scaled and masked": (
        lambda s, x: F.scaled_dot_product_attention(
            heads(x), heads(x), heads(x), heads(x) @ heads(x).mT, scale=0.3
        ), [],
    ),
    "one key for all heads": (
        lambda s, x: F.scaled_dot_product_attention(heads(x), heads(x)[:, :1], heads(x)[:, :1].relu()), [],
    ),
    "a query of the model's own": (
        lambda s, x: F.scaled_dot_product_attention(s.token[None], tokens(x)[None], tokens(x)[None].relu()), [],
    ),
    "matmul by a tensor of the model": (lambda s, x: tokens(x) @ s.wide, []),
    "softmax of channels": (lambda s, x: x.relu().softmax(1), []),
    "softmax of rows": (lambda s, x: x.relu().softmax(2), []),
}  # fmt: skip


def queries(x: Tensor) -> Tensor:
    """What attention in windows of four pixels reads, for two heads: three of them."""
    return torch.cat([x, x.relu(), x + 1], 1).permute(0, 2, 3, 1).reshape(24, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)


SHAPES = {
    "roll of a map": (lambda s, x: x.roll((1, -2), (2, 3)), []),
    "roll of windows": (lambda s, x: x.permute(0, 2, 3, 1).roll((-3, 0), (1, 2)), []),
    "windows": (
        lambda s, x: x.permute(0, 2, 3, 1).reshape(1, 2, 4, 3, 4, 8).transpose(2, 3).reshape(6, 16, 8),
        [],
    ),
    "one window": (lambda s, x: x.permute(0, 2, 3, 1).reshape(1, 1, 8, 1, 12, 8).transpose(2, 3).flatten(1, 3), []),
    "queries of windows": (lambda s, x: queries(x)[1] * 0.5 - queries(x)[2].relu(), []),
    "one query of windows": (lambda s, x: queries(x)[:1].tanh(), []),
    "reflecting pad": (lambda s, x: F.pad(x.relu(), (1, 2, 2, 1), mode="reflect"), []),
    "pad of windows": (lambda s, x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 2, 0, 1)), []),
    "pad of a vector": (lambda s, x: F.pad(x.mean((2, 3)), (2, 1)), []),
    "pad of tokens": (lambda s, x: F.pad(tokens(x), (1, 0, 2, 1)), []),
    "expand": (lambda s, x: x.mean(2, keepdim=True).expand(-1, -1, 5, -1).softmax(3), []),
    "pool of tokens": (lambda s, x: F.avg_pool1d(x.relu().flatten(2), 4, 4), []),
    "repeat": (lambda s, x: x.permute(0, 2, 3, 1).repeat_interleave(4, 0).softmax(3), []),
    "split tokens": (lambda s, x: torch.cat(tokens(x).split([3, 3, 2], 2)[::-1], 2), []),
    "pixels into channels": (
        lambda s, x: x.reshape(1, 8, 4, 2, 6, 2).permute(0, 3, 5, 1, 2, 4).reshape(1, 32, 4, 6),
        [],
    ),
    "mean of rows": (lambda s, x: x.relu().mean(3), []),
}


def gated(x: Tensor, y: Tensor) -> Tensor:
    """A gated residual of lines, as WaveNet has it; its gate, a pool, a squeezed gate for the channels."""
    a, b = (x + y).chunk(2, 1)
    z = torch.cat([torch.tanh(a) * torch.sigmoid(b), -a], 1)
    z = F.max_pool1d(z, 2)
    return F.avg_pool1d(z * z.mean(2, keepdim=True).sigmoid(), 2) + F.adaptive_avg_pool1d(z, 24) + 0.5


LAYERS = {
    "conv1d": (lambda s, x, c, n: n(c(x.flatten(2))), [nn.Conv1d(8, 6, 3, padding=1), nn.BatchNorm1d(6)]),
    "lines between layers": (
        lambda s, x, a, b, n: gated(a(x.flatten(2)), n(b(F.pad(a(x.flatten(2)), (2, 1))))),
        [nn.Conv1d(8, 8, 3, padding=1), nn.Conv1d(8, 8, 4, groups=8), nn.BatchNorm1d(8)],
    ),
    "prelu of a line": (lambda s, x, c, p: p(c(x.flatten(2))), [nn.Conv1d(8, 6, 1), nn.PReLU(6)]),
    "lines of one element": (lambda s, x, c: c(x.flatten(2).mean(2, keepdim=True)).tanh(), [nn.Conv1d(8, 6, 1)]),
    "lines to tokens": (
        lambda s, x, c, f: f(c(x.flatten(2)).relu().transpose(1, 2)), [nn.Conv1d(8, 6, 1), nn.Linear(6, 5)],
    ),
    "lines from a signal": (lambda s, x, c: c(x.reshape(1, 1, -1)).relu().mean(2), [nn.Conv1d(1, 4, 9, 2, 4)]),
    "channel attention": (
        lambda s, x, c: x * c(x.mean((2, 3)).view(1, 1, -1)).sigmoid().view(1, 8, 1, 1),
        [nn.Conv1d(1, 1, 3, padding=1)],
    ),
    "transposed convolution": (lambda s, x, c, n: n(c(x)).relu(), [nn.ConvTranspose2d(8, 4, 2, 2), nn.BatchNorm2d(4)]),
    "transposed convolution, cut": (lambda s, x, c: c(x), [nn.ConvTranspose2d(8, 4, 4, 2, 1)]),
    "scaled linear on maps": (
        lambda s, x, f: x + f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * s.scale.reshape(1, -1, 1, 1),
        [nn.Linear(8, 8)],
    ),
    "scaled linear on windows": (lambda s, x, f: f(x.permute(0, 2, 3, 1)) * s.scale, [nn.Linear(8, 8)]),
    "linear on maps": (lambda s, x, f: f(x.permute(0, 2, 3, 1)).relu().permute(0, 3, 1, 2), [nn.Linear(8, 8)]),
}  # fmt: skip
COMPOSED = {
    "prelu a channel": (lambda s, x, p: p(x), [nn.PReLU(8)]),
    "prelu for all": (lambda s, x, p: p(x), [nn.PReLU(1)]),
    "prelu of a square map": (lambda s, x, p: p(x[:, :, :, :8]).mean((2, 3)), [nn.PReLU(8)]),
    "prelu of a vector": (lambda s, x, p: p(x.mean((2, 3))), [nn.PReLU(8)]),
    "prelu in torch's order": (lambda s, x, p: p(x.roll(1, 2)), [nn.PReLU(8)]),
    "between ones": (lambda s, x: F.hardtanh(x) + x.sigmoid().clamp(-1, 1), []),
    "largest of a line": (lambda s, x: F.max_pool1d(x.relu().flatten(2), 3, 2, 1), []),
    "average of a line": (lambda s, x: F.avg_pool1d(x.relu().flatten(2), 3, 2, 1), []),
    "parts of a line": (lambda s, x: F.adaptive_avg_pool1d(x.relu().flatten(2), 6), []),
    "largest of a whole line": (lambda s, x: F.adaptive_max_pool1d(x.relu().flatten(2), 1), []),
    "smallest of channels": (lambda s, x: x * x.amin(1, keepdim=True) + x.min(1)[0], []),
    "elu": (lambda s, x: F.elu(x), []),
    "elu to another floor": (lambda s, x: F.elu(x, 0.7), []),
    "selu": (lambda s, x: F.selu(x), []),
    "celu": (lambda s, x: F.celu(x, 1.3), []),
    "softplus": (lambda s, x: F.softplus(x * 30), []),
    "mish": (lambda s, x: F.mish(x), []),
    "mish of tokens": (lambda s, x: F.mish(tokens(x)), []),
    "softsign": (lambda s, x: F.softsign(x), []),
    "logsigmoid": (lambda s, x: F.logsigmoid(x), []),
    "log softmax of a vector": (lambda s, x: F.log_softmax(x.mean((2, 3)), 1), []),
    "log softmax of channels": (lambda s, x: F.log_softmax(x, 1), []),
    "log softmax of rows": (lambda s, x: F.log_softmax(x, 2), []),
    "pixel shuffle": (lambda s, x: F.pixel_shuffle(x, 2), []),
    "pixel unshuffle": (lambda s, x: F.pixel_unshuffle(x, 4), []),
    "channel shuffle": (lambda s, x, c: c(x), [nn.ChannelShuffle(2)]),
    "glu of channels": (lambda s, x: F.glu(x, 1), []),
    "glu of tokens": (lambda s, x: F.glu(tokens(x), -1), []),
    "glu of columns": (lambda s, x: F.glu(x, 3), []),
    "instance norm": (lambda s, x, n: n(x), [nn.InstanceNorm2d(8)]),
    "instance norm, scaled": (lambda s, x, n: n(x), [nn.InstanceNorm2d(8, affine=True)]),
    "largest channel": (lambda s, x: x.max(1, keepdim=True)[0] * x, []),
    "largest channel, dropped": (lambda s, x: x.max(1)[0], []),
    "largest of all places": (lambda s, x: x.amax((2, 3)), []),
    "largest place": (lambda s, x: F.adaptive_max_pool2d(x, 1), []),
    "largest of four windows": (lambda s, x: F.adaptive_max_pool2d(x, (2, 2)), []),
    "averages of windows of two sizes": (lambda s, x: F.adaptive_avg_pool2d(x, (3, 5)), []),
    "averages of overlapping windows": (lambda s, x: F.adaptive_avg_pool2d(x[:, :, 1:, 1:], (3, 4)), []),
    "averages of more windows than pixels": (lambda s, x: F.adaptive_avg_pool2d(x, (11, 5)), []),
    "largest of windows of two sizes": (lambda s, x: F.adaptive_max_pool2d(x, (3, 7)), []),
    "bicubic": (lambda s, x: F.interpolate(x, scale_factor=2, mode="bicubic"), []),
    "bicubic of columns": (lambda s, x: F.interpolate(x, (8, 7), mode="bicubic", align_corners=True), []),
    "bicubic in torch's order": (lambda s, x: F.interpolate(x.roll(1, 2), (5, 17), mode="bicubic"), []),
    "with positions": (lambda s, x: F.max_pool2d(x, 2, return_indices=True)[0], []),
    "spatial attention": (lambda s, x: torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1), []),
    "a map of the model beside": (lambda s, x: torch.cat([x, s.place], 1), []),
    "a map of the model before": (lambda s, x: torch.cat([s.place, x, s.place], 1), []),
    "corners aligned": (lambda s, x: F.interpolate(x, (15, 23), mode="bilinear", align_corners=True), []),
    "between others": (lambda s, x: F.interpolate(x, (16, 24), mode="bilinear"), []),
    "even kernel": (lambda s, x, c: c(x), [nn.Conv2d(8, 4, (4, 3), padding="same")]),
    "repeated": (lambda s, x: x.repeat_interleave(2, 1), []),
    "einsum": (lambda s, x: torch.einsum("bnc,bmc->bmn", tokens(x), tokens(x).relu()), []),
    "einsum of heads": (lambda s, x: torch.einsum("bhnc,bhcm->bnhm", heads(x), heads(x).mT.relu()), []),
}  # fmt: skip
RECURRENT = {
    "lstm": (lambda s, x, r: r(tokens(x)[:, :6])[0], [nn.LSTM(8, 5, batch_first=True)]),
    "lstm, time first": (lambda s, x, r: r(tokens(x)[:, :6].transpose(0, 1))[0], [nn.LSTM(8, 5)]),
    "lstm both ways": (
        lambda s, x, r: r(tokens(x)[:, :4])[0], [nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True)],
    ),
    "lstm of rows": (
        lambda s, x, r: r(x.permute(0, 2, 3, 1)[0, :, :3])[0], [nn.LSTM(8, 4, batch_first=True)],
    ),
    "gru": (lambda s, x, r: r(tokens(x)[:, :6])[0], [nn.GRU(8, 5, batch_first=True)]),
    "gru both ways": (
        lambda s, x, r: r(tokens(x)[:, :4])[0], [nn.GRU(8, 5, 2, batch_first=True, bidirectional=True)],
    ),
    "gru of rows": (lambda s, x, r: r(x.permute(0, 2, 3, 1)[0, :, :3])[0], [nn.GRU(8, 4, batch_first=True)]),
    "gru cell": (lambda s, x, r: r(x[:, :, 0, 1], r(x[:, :, 0, 0])), [nn.GRUCell(8, 5)]),
    "rnn": (lambda s, x, r: r(tokens(x)[:, :6])[0], [nn.RNN(8, 5, batch_first=True)]),
    "rnn of rectifiers, both ways": (
        lambda s, x, r: r(tokens(x)[:, :4].transpose(0, 1))[0], [nn.RNN(8, 5, 2, "relu", bidirectional=True)],
    ),
    "rnn cell": (lambda s, x, r: r(x[:, :, 0, 1], r(x[:, :, 0, 0])), [nn.RNNCell(8, 5)]),
    "last state of a gru": (lambda s, x, r: r(tokens(x)[:, :3])[1][0], [nn.GRU(8, 5, batch_first=True)]),
    "last states of a gru both ways": (lambda s, x, r: r(tokens(x)[:, :3])[1], [nn.GRU(8, 5, bidirectional=True)]),
    "gru from a state": (
        lambda s, x, r: r(tokens(x)[:, :3], tokens(x)[:, :2].transpose(0, 1))[0], [nn.GRU(8, 8, 2, batch_first=True)],
    ),
    "gru without biases": (lambda s, x, r: r(tokens(x)[:, :3])[0], [nn.GRU(8, 5, bias=False, batch_first=True)]),
    "last step of an rnn": (lambda s, x, r: r(tokens(x)[:, :3].transpose(0, 1))[0][-1], [nn.RNN(8, 5)]),
}  # fmt: skip
CASES = {**NORMS, **ARITHMETIC, **PRODUCTS, **SHAPES, **LAYERS, **COMPOSED, **RECURRENT}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_computes_what_torch_computes(name):
    use, layers = CASES[name]
    assert_computes_the_same(Behind(use, *layers))


@pytest.mark.parametrize("name", ["layer norm of channels", "group norm", "roll of a map", "reflecting pad"])
def test_a_convolution_behind_reads_channels_last(name):
    use, layers = CASES[name]
    assert_computes_the_same(Behind(use, *layers, tail=True))


# networks whose constants are all tensors of the model (others compute some from them)
@pytest.mark.parametrize("name", ["test_convnext", "test_convnext3", "test_mambaout", "test_efficientnet", "shvit_s1"])
def test_small_networks_compute_the_same(name):
    assert_computes_the_same(deepcopy(lively(name)), (3, 64, 64))


def test_a_layer_norm_folds_into_the_layer_behind_it():
    use, layers = CASES["layer norm into a layer"]
    kinds = assert_computes_the_same(Behind(use, *layers))
    assert kinds[-2:] == ["ADD", "FULLY_CONNECTED"] and kinds.count("MUL") == 2


def test_a_transpose_of_ones_is_a_reshape():
    use, layers = CASES["one window"]
    assert "TRANSPOSE" not in assert_computes_the_same(Behind(use, *layers))


@pytest.mark.parametrize(("name", "turns"), [("lines between layers", 3), ("lines to tokens", 2)])
def test_lines_stay_rows_between_their_layers(name, turns):
    """One turn of the map that becomes a line, one for its first layer, one behind the last where lines come out."""
    use, layers = CASES[name]
    assert assert_computes_the_same(Behind(use, *layers)).count("TRANSPOSE") == turns


def test_what_nobody_reads_is_not_deployed():
    graph = trace(Behind(lambda m, x: F.relu(x)), (3, 8, 12))
    aside = Op("aside", "sigmoid", (graph.ops[-1].name,), graph.ops[-1].shape)
    more = Graph((*graph.ops, aside, Op("behind", "tanh", ("aside",), aside.shape)), graph.outputs, graph.modules)
    assert lower(more) == lower(graph)
    assert lower(Graph(more.ops, ("behind",), more.modules)) != lower(graph)
