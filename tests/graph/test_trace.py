"""The traced graph says what the model computes: run again from its kinds and attributes alone, it gives the same."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.errors import InputError, TraceError
from workbench.graph import Graph
from workbench.graph.kinds import KINDS
from workbench.graph.reshapes import Dims, reshape_dims
from workbench.graph.trace import trace

from .execute import execute
from .zoo import lively, traced

CNNS = [
    ("mobilenetv2_100", 64),
    ("mobilenetv3_small_050", 64),
    ("mixnet_s", 64),
    ("ghostnet_050", 64),
    ("rexnet_100", 64),
    ("resnet18", 64),
    ("resnest14d", 64),
    ("test_byobnet", 64),
    ("test_convnext", 64),
]


VARIANCES = ["var", "rsqrt", "var", "reshape", "reshape", "add"]


class Wrapped(nn.Module):
    """A function as a model with one 4 -> 4 convolution in front of it."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(self.conv(x))


def assert_computes_the_same(model: nn.Module, graph: Graph, *inputs: Tensor, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        expected = torch.utils._pytree.tree_leaves(model(*inputs))
        outputs = execute(graph, model.state_dict(), *inputs)
    assert len(outputs) == len(expected)
    for got, want in zip(outputs, expected, strict=True):
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance * float(want.abs().max()))


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops if op.kind not in ("input", "conv2d")]


@pytest.mark.parametrize(("name", "size"), [*CNNS, ("mobilevit_xxs", 64)])
def test_the_graph_computes_what_the_model_computes(name: str, size: int) -> None:
    torch.manual_seed(1)
    assert_computes_the_same(lively(name), traced(name, size), torch.randn(1, 3, size, size))


@pytest.mark.parametrize(("name", "size"), CNNS)
def test_macs_and_params_agree_with_torch(name: str, size: int) -> None:
    model, graph = lively(name), traced(name, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    assert graph.macs * 2 == counter.get_total_flops()
    assert graph.params == sum(p.numel() for p in model.parameters())


def test_attention_macs_are_both_products() -> None:
    class Attend(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v)

    inputs = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 7, 8), torch.randn(1, 2, 7, 16)
    graph = trace(Attend(), example_inputs=inputs)
    assert graph.macs == 2 * 5 * 7 * 8 + 2 * 5 * 7 * 16
    assert_computes_the_same(Attend(), graph, *inputs)


def test_transposed_convolution_macs_agree_with_torch() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2))
    graph = trace(model, (4, 8, 8))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 4, 8, 8))
    assert graph.macs * 2 == counter.get_total_flops()
    assert_computes_the_same(model, graph, torch.randn(1, 4, 8, 8))


def test_layers_stand_at_their_module_with_the_shapes_hooks_see() -> None:
    model = lively("mobilenetv2_100")
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [
        module.register_forward_hook(lambda m, i, out, path=path: shapes.update({path: tuple(out.shape)}))
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    ]
    model(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    graph = traced("mobilenetv2_100", 64)
    layers = {op.module: op for op in graph.ops if op.kind in ("conv2d", "linear", "batch_norm")}
    last = {op.module: op for op in graph.ops}  # a norm with its activation: the hook sees the activation's output
    assert set(layers) <= set(shapes)
    for path, op in layers.items():
        assert last[path].shape == shapes[path]
        state = model.state_dict()
        assert {p.name: p.shape for p in op.params} == {
            f"{path}.{p.role}": tuple(state[f"{path}.{p.role}"].shape) for p in op.params
        }
    assert {path for path, _ in graph.modules} == {path for path, _ in model.named_modules()}
    assert graph.classes["blocks.1.0"] == "timm.models._efficientnet_blocks.InvertedResidual"


def test_tracing_twice_gives_the_same_graph_and_leaves_the_model_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), nn.ReLU())
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = trace(model, (3, 16, 16)), trace(model, (3, 16, 16))
    assert first == second and first.digest == second.digest
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert kinds(first) == ["batch_norm", "relu"]


def test_a_size_that_is_not_square_is_traced() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3, (1, 2))), (3, 33, 18))
    assert graph.ops[-1].shape == (1, 8, 31, 8) and graph.ops[-1]["stride"] == (1, 2)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: F.hardtanh(x, 0.0, 6.0), ["relu6"]),
        (lambda x: x.clamp(-1, 2), ["clamp"]),
        (lambda x: x.clamp(min=0), ["relu"]),
        (lambda x: 2 - x, ["sub"]),
        (lambda x: 1 / (x.abs() + 1), ["abs", "add", "div"]),
        (lambda x: x * 2 + x / 4, ["mul", "div", "add"]),
        (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), ["mean", "reshape"]),
        (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), ["adaptive_avg_pool2d"]),
        (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), ["max_pool2d"]),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), ["avg_pool2d"]),
        (lambda x: torch.cat([part.relu() for part in x.chunk(2, 1)], 1), ["slice", "slice", "relu", "relu", "concat"]),
        (lambda x: x.unbind(1)[2] + x[:, 0], ["slice", "reshape", "slice", "reshape", "add"]),
        (lambda x: torch.stack([x, x.relu()], 2).sum(2), ["relu", "reshape", "reshape", "concat", "sum"]),
        (lambda x: F.pad(x, (1, 2, 0, 3), value=1.5), ["pad"]),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), ["resize"]),
        (lambda x: F.interpolate(x, size=(5, 7)), ["resize"]),
        (lambda x: x.flatten(2).transpose(1, 2).softmax(-1), ["reshape", "permute", "softmax"]),
        (lambda x: x.permute(0, 2, 3, 1)[..., 1:4:2], ["permute", "slice"]),
        (lambda x: x * x.mean((2, 3), keepdim=True).expand_as(x), ["mean", "mul"]),
        (lambda x: x.amax((2, 3)) + x.mean((2, 3)), ["amax", "mean", "add"]),
        (lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2), ["reshape", "reshape", "permute", "matmul"]),
        (lambda x: F.gelu(x, approximate="tanh") + x**2, ["gelu", "pow", "add"]),
        (lambda x: x.roll((1, -2), (2, 3)), ["roll"]),
        (lambda x: F.normalize(x, dim=1), ["norm", "clamp", "div"]),
        (lambda x: x.var(1, keepdim=True).rsqrt() + x.var((2, 3), correction=0)[..., None, None], VARIANCES),
        (lambda x: torch.addcmul(x, x.sigmoid(), x.relu()), ["sigmoid", "relu", "addcmul"]),
        (lambda x: F.pad(x, (1, 2, 0, 3), mode="reflect"), ["reflect_pad"]),
        (lambda x: x.mean(2, keepdim=True).expand(-1, -1, 8, -1).softmax(3), ["mean", "expand", "softmax"]),
        (lambda x: F.avg_pool1d(x.flatten(2), 3, 2), ["reshape", "avg_pool1d"]),
        (
            lambda x: F.avg_pool1d(x.flatten(2), 3, 2, 1, count_include_pad=False),
            ["reshape", "reshape", "avg_pool2d", "reshape"],
        ),
        (
            lambda x: F.max_pool1d(x.flatten(2), 3, 2, 1, 2, ceil_mode=True),
            ["reshape", "reshape", "max_pool2d", "reshape"],
        ),
        (
            lambda x: F.adaptive_avg_pool1d(x.flatten(2), 5),
            ["reshape", "reshape", "adaptive_avg_pool2d", "reshape"],
        ),
        (
            lambda x: F.adaptive_max_pool1d(x.flatten(2), 9),
            ["reshape", "reshape", "adaptive_max_pool2d", "reshape"],
        ),
        (lambda x: F.adaptive_max_pool1d(x.flatten(2), 1), ["reshape", "reshape", "adaptive_max_pool2d", "reshape"]),
        (lambda x: x.amin((2, 3)) + x.min(3)[0].mean(2), ["amin", "amin", "mean", "add"]),
        (lambda x: x[:, :1].repeat_interleave(3, 1).softmax(1), ["slice", "expand", "softmax"]),
        (lambda x: F.rms_norm(x, (8,), eps=1e-6), ["rms_norm"]),
        (
            lambda x: F.scaled_dot_product_attention(x, x.relu(), x, x @ x.mT),
            ["relu", "permute", "matmul", "attention"],
        ),
        (lambda x: x.contiguous().clone().to(torch.float32).detach(), []),
    ],
)
def test_operators_become_the_kinds_of_the_contract(function: Callable[[Tensor], object], expected: list[str]) -> None:
    model = Wrapped(function)
    graph = trace(model, (4, 9, 8))
    assert kinds(graph) == expected
    assert_computes_the_same(model, graph, torch.randn(1, 4, 9, 8))


def test_padding_given_in_words_is_counted() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 5), padding="same", dilation=2), nn.Conv2d(4, 4, 3, padding="valid"))
    graph = trace(model, (3, 12, 12))
    assert [op["padding"] for op in graph.ops[1:]] == [(2, 4), (0, 0)]
    assert_computes_the_same(model, graph, torch.randn(1, 3, 12, 12))


def relu_in_place_behind_a_shortcut(x: Tensor) -> Tensor:
    y = x + 1
    F.relu_(x)  # the shortcut below reads the rectified tensor
    return x * y


def add_in_place_keeps_earlier_readers(x: Tensor) -> Tensor:
    before = x.clone()
    x += 3
    x.mul_(before)
    return x - before


@pytest.mark.parametrize("function", [relu_in_place_behind_a_shortcut, add_in_place_keeps_earlier_readers])
def test_later_readers_see_what_was_written_in_place(function: Callable[[Tensor], Tensor]) -> None:
    model = Wrapped(function)
    assert_computes_the_same(model, trace(model, (4, 6, 6)), torch.randn(1, 4, 6, 6))


def test_a_view_that_is_written_and_never_read_again_is_fine() -> None:
    model = Wrapped(lambda x: x.flatten(2).relu_())
    assert_computes_the_same(model, trace(model, (4, 6, 6)), torch.randn(1, 4, 6, 6))


def write_into_a_slice(x: Tensor) -> Tensor:
    x[:, :2] = x[:, 2:] * 2
    return x


def test_writing_into_part_of_a_tensor_is_refused_not_ignored() -> None:
    with pytest.raises(TraceError, match="Wrapped writes into part of a tensor it reads again"):
        trace(Wrapped(write_into_a_slice), (4, 6, 6))


@pytest.mark.parametrize(
    ("alias", "usual"),
    [
        (lambda x: torch.swapaxes(x, 1, 3), lambda x: x.transpose(1, 3)),
        (lambda x: torch.swapdims(x, -1, 2), lambda x: x.transpose(2, 3)),
        (lambda x: torch.moveaxis(x, 1, -1), lambda x: x.permute(0, 2, 3, 1)),
        (lambda x: x.movedim((1, 2), (3, 1)), lambda x: x.permute(0, 2, 3, 1)),
        (lambda x: torch.concatenate([x, x.relu()], 1), lambda x: torch.cat([x, x.relu()], 1)),
        (lambda x: torch.hstack([x, x.relu()]), lambda x: torch.cat([x, x.relu()], 1)),
        (lambda x: torch.clip(x, 0, 6), lambda x: x.clamp(0, 6)),
        (lambda x: x.clip_(0, 6) + x, lambda x: x.clamp_(0, 6) + x),
        (lambda x: torch.absolute(x), lambda x: x.abs()),
        (lambda x: torch.negative(x), lambda x: -x),
        (lambda x: torch.special.expit(x), lambda x: x.sigmoid()),
        (lambda x: torch.special.softmax(x, 1), lambda x: x.softmax(1)),
        (lambda x: torch.max(x, 2 * x), lambda x: torch.maximum(x, 2 * x)),
        (lambda x: torch.min(x, 2 * x), lambda x: torch.minimum(x, 2 * x)),
        (lambda x: x.ravel(), lambda x: x.flatten()),
        (lambda x: torch.hsplit(x, 2)[1].relu(), lambda x: x.split(2, 1)[1].relu()),
        (lambda x: x.unsafe_chunk(2, 1)[1].relu(), lambda x: x.chunk(2, 1)[1].relu()),
        (lambda x: x.adjoint(), lambda x: x.transpose(-1, -2)),
        (lambda x: x + torch.broadcast_to(x.mean(1, keepdim=True), x.shape), lambda x: x + x.mean(1, keepdim=True)),
    ],
)
def test_names_that_mean_the_same_make_the_same_graph(
    alias: Callable[[Tensor], Tensor], usual: Callable[[Tensor], Tensor]
) -> None:
    model = Wrapped(alias)
    one, other = trace(model, (4, 6, 8)), trace(Wrapped(usual), (4, 6, 8))
    assert [(op.kind, op.shape, op.attrs, op.module) for op in one.ops] == [
        (op.kind, op.shape, op.attrs, op.module) for op in other.ops
    ]
    assert all(op.kind in KINDS for op in one.ops)
    assert_computes_the_same(model, one, torch.rand(1, 4, 6, 8))


def masked(x: Tensor) -> Tensor:
    """Swin's mask: regions numbered in a constant that has the map's size."""
    mask = x.new_zeros(x.shape[2:])
    mask[:3, :3], mask[3:, 3:] = 1.0, 2.0
    return x + mask


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (masked, ["param", "add"]),
        (lambda x: torch.cat([x, torch.zeros_like(x)], 1), ["param", "concat"]),
        (lambda x: x * torch.full_like(x, 2.0) + x.new_ones(4, 1, 1), ["param", "mul", "param", "add"]),
    ],
)
def test_what_reads_a_shape_alone_is_constant(function: Callable[[Tensor], Tensor], expected: list[str]) -> None:
    model = Wrapped(function)
    graph = trace(model, (4, 6, 6))
    assert kinds(graph) == expected
    assert graph.params == sum(p.numel() for p in model.parameters())


def test_what_is_written_through_a_view_of_another_name_is_seen() -> None:
    model = Wrapped(lambda x: torch.moveaxis(x, 1, 3).relu_() + 1)
    assert_computes_the_same(model, trace(model, (4, 6, 6)), torch.rand(1, 4, 6, 6))


def test_an_operator_without_a_rule_keeps_its_name_and_arguments() -> None:
    graph = trace(Wrapped(lambda x: torch.flip(x, (2, 3)).relu()), (4, 6, 6))
    flip = graph.ops[-2]
    assert (flip.kind, flip["dims"]) == ("aten.flip", (2, 3))


def test_operators_nobody_reads_are_left_out() -> None:
    graph = trace(Wrapped(lambda x: (x.relu(), x.sigmoid())[1]), (4, 6, 6))
    assert kinds(graph) == ["sigmoid"]


def test_lists_and_dictionaries_of_outputs_are_flattened() -> None:
    model = Wrapped(lambda x: {"a": x.relu(), "b": [x, (x + 1,)]})
    graph = trace(model, (4, 6, 6))
    assert len(graph.outputs) == 3
    assert_computes_the_same(model, graph, torch.randn(1, 4, 6, 6))


def test_several_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x @ y

    inputs = torch.randn(1, 3, 4), torch.randn(1, 4, 5)
    graph = trace(Two(), example_inputs=inputs)
    assert [op.shape for op in graph.inputs] == [(1, 3, 4), (1, 4, 5)]
    assert_computes_the_same(Two(), graph, *inputs)


def test_autocast_regions_are_part_of_the_graph() -> None:
    def function(x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            y = x.relu() + 1
        return y * x

    model = Wrapped(function)
    graph = trace(model, (4, 6, 6))
    assert kinds(graph) == ["relu", "add", "mul"]
    assert_computes_the_same(model, graph, torch.randn(1, 4, 6, 6))


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / self.weight.std()
        return F.conv2d(x, weight, self.bias, padding=1)


def test_what_is_computed_from_parameters_only_is_folded_into_its_consumer() -> None:
    graph = trace(nn.Sequential(Standardised(3, 8, 3)), (3, 8, 8))
    assert [op.kind for op in graph.ops] == ["input", "conv2d"]
    weight = graph.ops[-1].param("weight")
    assert weight is not None and (weight.name, weight.shape) == ("0.weight", (8, 3, 3, 3))


def test_a_layer_scale_is_a_param_with_its_key() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.rand(3))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gamma.view(1, -1, 1, 1)

    model = Scaled()
    graph = trace(model, (3, 8, 8))
    (param,) = (op for op in graph.ops if op.kind == "param")
    assert (param.params[0].name, param.shape, graph.params) == ("gamma", (1, 3, 1, 1), 3)
    assert_computes_the_same(model, graph, torch.randn(1, 3, 8, 8))


def test_a_layer_called_twice_counts_its_parameters_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    graph = trace(Twice(), (3, 8, 8))
    assert [op.module for op in graph.ops] == ["", "conv", "conv"]
    assert graph.params == 3 * 3 * 9 + 3 and graph.macs == 2 * 3 * 3 * 9 * 64


def test_every_input_stands_before_its_readers() -> None:
    graph = traced("mobilevit_xxs", 64)
    names: set[str] = set()
    for op in graph.ops:
        assert set(op.inputs) <= names
        assert op.name not in names
        names.add(op.name)


@pytest.mark.parametrize(
    ("before", "after", "dims"),
    [
        ((1, 64, 7, 7), (1, 3136), ((0,), (1, 2, 3))),
        ((1, 64, 1, 1), (1, 64), ((0,), (1, 2, 3))),
        ((1, 64), (1, 64, 1, 1), ((0,), (1,), (), ())),
        ((1, 64, 56, 56), (1, 2, 32, 56, 56), ((0,), None, None, (2,), (3,))),
        ((1, 2, 32, 56, 56), (1, 64, 56, 56), ((0,), (1, 2), (3,), (4,))),
        ((1, 128, 1, 1), (1, 1, 2, 64), ((0,), (), None, None)),
        ((1, 8, 8, 7, 7, 96), (64, 49, 96), ((0, 1, 2), (3, 4), (5,))),
        ((64, 49, 96), (1, 8, 8, 7, 7, 96), (None, None, None, None, None, (2,))),
        ((1, 6, 4), (1, 4, 6), ((0,), None, None)),
    ],
)
def test_reshape_dims(before: tuple[int, ...], after: tuple[int, ...], dims: Dims) -> None:
    assert reshape_dims(before, after) == dims


def test_a_wrong_number_of_channels_names_both() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    with pytest.raises(InputError, match=r"^the input has 1 channels, but Sequential wants 3$"):
        trace(model, (1, 16, 16))


@pytest.mark.parametrize("size", [(3, 224), (3, 0, 8), "large", (3, 8.5, 8), 224, (True, 8, 8)])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="is not \\(channels, height, width\\)"):
        trace(nn.Conv2d(3, 8, 3), size)  # type: ignore[arg-type]


def test_a_model_without_a_size_asks_for_one() -> None:
    with pytest.raises(InputError, match="Conv2d does not say its input size"):
        trace(nn.Conv2d(3, 8, 3))


def test_what_torch_cannot_export_is_one_sentence() -> None:
    model = Wrapped(lambda x: x if x.sum() > 0 else -x).train()
    with pytest.raises(TraceError, match=r"torch.export cannot trace Wrapped for an input of \(4, 6, 6\)") as caught:
        trace(model, (4, 6, 6))
    assert "\n" not in str(caught.value)
    assert model.training


def test_ops_are_in_the_order_of_the_model() -> None:
    convs = [op.module for op in traced("resnet18", 64).ops if op.kind == "conv2d"]
    expected = [path for path, module in lively("resnet18").named_modules() if isinstance(module, nn.Conv2d)]
    assert convs == expected
    assert all(a != b for a, b in pairwise(convs))


COMPOSITES = {
    "pixel shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x, 4),
    "channel shuffle": lambda x: F.channel_shuffle(x, 2),
    "glu": lambda x: F.glu(x, 1),
    "glu, last": lambda x: F.glu(x, -1),
    "largest": lambda x: x.max(1, keepdim=True)[0],
    "largest window": lambda x: F.adaptive_max_pool2d(x, (2, 4)),
    "with positions": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
    "elu": lambda x: F.elu(x, 0.4) + F.selu(x) + F.celu(x, 2.0),
    "logarithms": lambda x: F.logsigmoid(x) + F.log_softmax(x, 2) + torch.log(x.abs() + 1),
    "einsum": lambda x: torch.einsum("bchw,bcwv->bhcv", x, x.mT.relu()),
    "einsum, summed twice": lambda x: torch.einsum("bchw,bdhw->bdc", x, x.relu()),
    "einsum of one": lambda x: torch.einsum("bnc,bmc->bmn", x[0], x[0].relu()),
    "interleaved": lambda x: x.repeat_interleave(3, 2),
    "instance norm": lambda x: F.instance_norm(x),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_what_consists_of_others_computes_the_same(name: str) -> None:
    model = Wrapped(COMPOSITES[name])
    graph = trace(model, (4, 8, 8))
    assert all(op.kind in KINDS for op in graph.ops)
    assert_computes_the_same(model, graph, torch.randn(1, 4, 8, 8))
