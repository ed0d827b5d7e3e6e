"""Modules that people bring: computed weights, other precisions, inputs that are no picture of floats."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import workbench as wb
from workbench.errors import InputError, InputWarning

STEP = wb.DepthMultiplier(1.5)  # widens, so that the function stays


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 4, 1)
    )


def with_norm(make: Callable[[nn.Module], object]) -> nn.Module:
    module = net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old forms are deprecated, and still in use
        make(module[2])
    module(torch.rand(2, 3, 16, 16))
    return module.eval()


def pruned_twice(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", 0.3)
    prune.ln_structured(layer, "weight", 0.25, 2, 0)
    prune.random_unstructured(layer, "bias", 0.5)


@pytest.mark.parametrize(
    "make",
    [
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
        parametrizations.orthogonal,
        spectral_norm,
        weight_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        pruned_twice,
    ],
    ids=["spectral", "weight", "orthogonal", "old spectral", "old weight", "pruned", "pruned twice"],
)
def test_computed_weights_become_parameters(make: Callable[[nn.Module], object]) -> None:
    module, x = with_norm(make), torch.rand(2, 3, 16, 16)
    before = set(module.state_dict())
    with torch.no_grad():
        y = module(x)
        session = wb.open(module, input_size=(3, 16, 16))
        torch.testing.assert_close(session.build()(x), y)
        torch.testing.assert_close(session.apply(STEP).build()(x), y)
    assert set(session.build().state_dict()) == set(net().state_dict())
    assert set(module.state_dict()) == before  # the user's own is as it was
    assert not session.with_weights(module).steps


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(dtype: torch.dtype) -> None:
    module = net().to(dtype)
    session = wb.open(module, input_size=(3, 16, 16))
    assert {p.dtype for p in session.apply(STEP).build().parameters()} == {torch.float32}
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(session.build()(x), copy.deepcopy(module).float()(x))
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert len(session.suggest(1).columns) == 8
    from_example = wb.open(module, example_inputs=x.to(dtype))
    assert from_example.graph == session.graph


def test_modules_without_values_are_refused() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 8, 3))
    with pytest.raises(InputError, match=r"0\.weight of Sequential is on the meta device"):
        wb.open(module, input_size=(3, 16, 16))


class Camera(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.float() / 255)


class WithIds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.table = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 3), nn.Embedding(10, 8)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x))).mean((2, 3)) + self.table(ids).mean(1)


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 3)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [self.b(self.a(x)) for x in maps]


class Batch(Maps):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.b(self.a(batch["image"]) * batch["scale"])


X, IDS = torch.rand(1, 3, 16, 16), torch.tensor([[1, 2, 3, 9]])


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Camera(), (torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8),)),
        (WithIds(), (X, IDS)),
        (Maps(), ([X, X * 2],)),
        (Batch(), ({"image": X, "scale": torch.full((1, 1, 1, 1), 2.0)},)),
    ],
    ids=["uint8", "ids", "list", "dict"],
)
def test_inputs_of_every_type_are_built_with(module: nn.Module, inputs: tuple[object, ...]) -> None:
    module.eval()
    session = wb.open(module, example_inputs=inputs)
    for step in (STEP, wb.DepthMultiplier(0.5), wb.Sparsify(0.5)):
        built = session.apply(step).build()
        with torch.no_grad():
            y, z = module(*inputs), built(*inputs)
        assert len(y) == len(z)
        if step == STEP:
            torch.testing.assert_close(z, y)


def test_a_camera_reads_another_size() -> None:
    frame = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    after = wb.open(Camera().eval(), example_inputs=frame).apply(wb.InputSize(64))
    assert after.build()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape == (1, 4, 16, 16)


def test_inputs_by_name() -> None:
    module = WithIds().eval()
    session = wb.open(module, example_inputs={"ids": IDS, "x": X})
    assert session.graph == wb.open(module, example_inputs=(X, IDS)).graph
    with pytest.raises(InputError, match="unknown argument 'idx'; the nearest is 'ids'"):
        wb.open(module, example_inputs={"x": X, "idx": IDS})
    with pytest.raises(InputError, match="example_inputs has no 'ids', which WithIds reads"):
        wb.open(module, example_inputs={"x": X})


def test_inputs_that_are_none() -> None:
    with pytest.raises(InputError, match="example_inputs is ndarray"):
        wb.open(net(), example_inputs=X.numpy())
    with pytest.raises(InputError, match="holds no tensor"):
        wb.open(net(), example_inputs=())


@pytest.mark.parametrize("count", [2, 4])
def test_one_of_a_batch_is_taken(count: int) -> None:
    with pytest.warns(InputWarning, match=f"a batch of {count}: the first is taken"):
        session = wb.open(net().eval(), example_inputs=torch.rand(count, 3, 16, 16))
    assert session.graph.macs == wb.open(net(), input_size=(3, 16, 16)).graph.macs
    with pytest.warns(InputWarning, match="batch"):
        pair = wb.open(WithIds().eval(), example_inputs=(X.repeat(count, 1, 1, 1), IDS.repeat(count, 1)))
    assert pair.graph == wb.open(WithIds().eval(), example_inputs=(X, IDS)).graph


def test_a_first_axis_that_is_no_batch_stays() -> None:
    """Of an LSTM that reads time first, one step is another network."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        session = wb.open(nn.LSTM(8, 8).eval(), example_inputs=torch.rand(5, 1, 8))
    assert session.graph.inputs[0].shape == (5, 1, 8)


def test_a_batch_axis_that_is_missing_is_added() -> None:
    with pytest.warns(InputWarning, match="no batch axis"):
        session = wb.open(net().eval(), example_inputs=torch.rand(3, 16, 16))
    assert session.graph == wb.open(net(), input_size=(3, 16, 16)).graph
    assert session.apply(STEP).build()(X).shape == (1, 4, 4, 4)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(3, 32, 3), nn.Conv2d(1, 32, 3), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor, depth: Tensor) -> Tensor:
        return self.out(torch.relu(self.a(x) + self.b(depth)))


def test_networks_of_two_inputs(tmp_path) -> None:
    inputs = (torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16))
    after = wb.open(Two().eval(), example_inputs=inputs).apply(wb.DepthMultiplier(0.5))
    assert after.build()(*inputs).shape == (1, 4, 14, 14)
    after.export(tmp_path / "two.onnx")
    images = torch.rand(4, 3, 16, 16)
    calls = {
        "calibration": lambda: after.build(images),
        "fidelity": lambda: after.fidelity(images),
        "the .tflite file": lambda: after.export(tmp_path / "two.tflite", images),
        "int8_fidelity": lambda: after.int8_fidelity(images),
    }
    for what, call in calls.items():
        with pytest.raises(InputError, match=f"{what} takes images of a network that reads one; Two reads 2 inputs"):
            call()
    assert not (tmp_path / "two.tflite").exists()


class Ternary(nn.Conv2d):
    """Weights of three values, one scale for all (Li et al., 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.sign() * self.weight.abs().mean(), self.bias, self.stride, self.padding)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias, self.stride, self.padding)


@pytest.mark.parametrize("cls", [Ternary, Standardised])
def test_layers_that_compute_their_weights_keep_their_function(cls: type[nn.Conv2d]) -> None:
    """Zeros among the values that a scale or a mean is taken of are no zeros."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3), nn.ReLU(), cls(16, 24, 3), nn.ReLU(), nn.Conv2d(24, 20, 1), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Conv2d(20, 4, 1)).eval()
    after = wb.open(module, input_size=(3, 16, 16)).apply(STEP)
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(after.build()(x), module(x))


class CameraLast(Camera):
    """[N, H, W, C] in whole numbers, as cameras give them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([110.0, 115.0, 120.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(((x.float() - self.mean) / 58).permute(0, 3, 1, 2))


def test_a_camera_with_channels_last_reads_another_size() -> None:
    frame = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    after = wb.open(CameraLast().eval(), example_inputs=frame).apply(wb.InputSize(64, 48))
    assert after.build()(torch.zeros(1, 64, 48, 3, dtype=torch.uint8)).shape == (1, 4, 16, 12)
