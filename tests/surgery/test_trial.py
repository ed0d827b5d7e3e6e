"""On modules that are not timm's, what surgery cannot carry out is refused when it is applied; the rest builds."""

import time
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import workbench as wb
from workbench.errors import NotApplicable
from workbench.transforms import TRANSFORMS, Transform

EVERY = [example for transform in TRANSFORMS.values() for example in transform.examples()]


def lively(net: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own, so that no branch is nearly zero and none is the identity."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias):
                if tensor is not None:
                    tensor.data.copy_(torch.randn(tensor.shape, generator=generator) / 4)
            for tensor in (module.running_var, module.weight):
                if tensor is not None:
                    tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net.eval()


def difference(net: nn.Module, built: nn.Module, size: tuple[int, int, int]) -> float:
    x = torch.rand(2, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, z = net(x), built(x)
    return float((z - y).norm() / y.norm())


def one_channel(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1), *between, nn.Conv2d(1, 8, 3)
    )


@pytest.mark.parametrize(
    "between",
    [
        (nn.BatchNorm2d(1), nn.ReLU()),
        (nn.BatchNorm2d(1, affine=False),),
        (nn.BatchNorm2d(1), nn.PReLU()),
        (nn.PReLU(), nn.BatchNorm2d(1)),
        (nn.InstanceNorm2d(1, affine=True), nn.ReLU()),
        (nn.GroupNorm(1, 1),),
    ],
    ids=lambda between: "-".join(type(module).__name__ for module in between),
)
@pytest.mark.parametrize("step", [wb.EvenChannels("up", multiple=16), wb.DepthMultiplier(2.0)], ids=str)
def test_norms_of_one_channel_widen(between: tuple[nn.Module, ...], step: Transform) -> None:
    net = lively(one_channel(*between))
    try:
        after = wb.open(net, input_size=(3, 16, 16)).apply(step)
    except NotApplicable:
        return
    assert difference(net, after.build(), (3, 16, 16)) < 1e-5


class Slices(nn.Module):
    """A width in the code: the first c channels are convolved."""

    def __init__(self, reads: int = 3, makes: int = 4) -> None:
        super().__init__()
        self.c = 32
        self.wide, self.out = nn.Conv2d(reads, 64, 3, padding=1), nn.Conv2d(64, makes, 1)
        self.part = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        return self.out(torch.cat([self.part(x[:, : self.c]), x[:, self.c :]], 1))


class Splits(Slices):
    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(self.wide(x), self.c, 1)
        return self.out(torch.cat([self.part(a), b], 1))


class Grouped(nn.Module):
    """Groups as a number in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.c = 16
        self.wide, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 4, 1)
        self.weight = nn.Parameter(torch.rand(16, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.conv2d(self.wide(x), self.weight, padding=1, groups=self.c))


class TwoWays(nn.Module):
    """One kernel used as a layer and, transposed, as another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 4, 1)
        self.c = nn.Conv2d(16, 24, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.conv_transpose2d(F.relu(self.c(self.stem(x))), self.c.weight))


def tied() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 4, 1),
    )  # fmt: skip
    net[3].weight = net[1].weight
    return net


class Scale(nn.Module):
    """The name of a class of timm's, and another code."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.rand(16))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor[None, :, None, None]


class BlurPool2d(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.channels = 16
        self.register_buffer("kernel", torch.full((16, 1, 2, 2), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, stride=2, groups=self.channels)


def between(module: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), module, nn.ReLU(), nn.Conv2d(16, 4, 1))


OWN: dict[str, Callable[[], nn.Module]] = {
    "slices": Slices,
    "splits": Splits,
    "groups": Grouped,
    "one kernel two ways": TwoWays,
    "tied": tied,
    "Scale": lambda: between(Scale()),
    "BlurPool2d": lambda: between(BlurPool2d()),
}


@pytest.mark.parametrize("name", OWN)
def test_own_code_is_edited_or_refused_when_applied(name: str) -> None:
    torch.manual_seed(0)
    session = wb.open(OWN[name]().eval(), input_size=(3, 32, 32))
    applied, refusals = 0, list[str]()
    for step in (*EVERY, wb.DepthMultiplier(1.5), wb.EvenChannels("up", multiple=12)):
        try:
            after = session.apply(step)
        except NotApplicable as error:
            refusals.append(str(error))
            continue
        applied += 1
        built = after.build()
        assert wb.open(built, input_size=after.input_size).graph.params == after.graph.params
    assert applied
    assert not any("torch" in text or "\n" in text for text in refusals)


def test_a_refusal_names_the_step_and_the_block() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), Slices(8)).eval()
    with pytest.raises(NotApplicable, match=r"DepthMultiplier\(ratio=0\.5\) cannot be carried out: .* 1 \(Slices\) "):
        wb.open(net, input_size=(3, 32, 32)).apply(wb.DepthMultiplier(0.5))


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_additions_commute(name: str) -> None:
    """Torchvision's blocks add the input in front; timm's, which take their place, behind."""
    net = lively(getattr(torchvision.models, name)(weights=None))
    built = wb.open(net, input_size=(3, 32, 32)).apply(wb.FuseIBN("features.[1-4]")).build()
    assert built(torch.rand(1, 3, 32, 32)).shape == (1, 1000)


def test_networks_of_timm_are_not_tried() -> None:
    session = wb.open(timm.create_model("efficientnet_b0").eval(), input_size=(3, 224, 224))
    session.apply(wb.FuseIBN("blocks.1.0")).estimate  # noqa: B018  what is computed once
    start = time.perf_counter()
    session.apply(wb.FuseIBN("blocks.2.0"))
    assert time.perf_counter() - start < 0.2


def test_networks_of_timm_with_own_parts_are_tried() -> None:
    net = timm.create_model("resnet10t").eval()
    net.layer2[0].conv2 = nn.Sequential(net.layer2[0].conv2, Slices(128, 128)).eval()
    with pytest.raises(NotApplicable, match=r"layer2\.0\.conv2\.1 \(Slices\)"):
        wb.open(net, input_size=(3, 64, 64)).apply(wb.DepthMultiplier(0.5))
