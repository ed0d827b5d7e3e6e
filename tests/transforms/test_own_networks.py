"""Transforms on networks whose code sets sizes, puts channels last, or holds heads that only training runs."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import workbench as wb
from workbench.errors import NotApplicable


class Aspp(nn.Module):
    """A pooled map, resized back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pooled, self.out = nn.Conv2d(3, 16, 3, 4, 1), nn.Conv2d(16, 8, 1), nn.Conv2d(24, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        z = F.interpolate(self.pooled(F.adaptive_avg_pool2d(y, 1)), size=y.shape[-2:], mode="bilinear")
        return self.out(torch.cat([y, z], 1))


class Unet(nn.Module):
    """A decoder that pads to the size of its skip, where that is odd."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 16, 2, 2), nn.Conv2d(32, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        z = self.up(self.b(F.max_pool2d(a, 2)))
        h, w = a.shape[2] - z.shape[2], a.shape[3] - z.shape[3]
        return self.out(torch.cat([a, F.pad(z, [w // 2, w - w // 2, h // 2, h - h // 2])], 1))


class Cropped(Unet):
    """The skip is cropped to the decoder's size."""

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        z = self.up(self.b(F.max_pool2d(a, 2)))
        return self.out(torch.cat([a[:, :, : z.shape[2], : z.shape[3]], z], 1))


@pytest.mark.parametrize(
    ("net", "size", "new"),
    [(Aspp(), 64, 96), (Unet(), 51, 64), (Unet(), 64, 51), (Cropped(), 64, 51), (Cropped(), 33, 48)],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_another_input_size_is_that_of_the_network_opened_there(net: nn.Module, size: int, new: int) -> None:
    after = wb.open(net.eval(), input_size=(3, size, size)).apply(wb.InputSize(new))
    fresh = wb.open(net, input_size=(3, new, new))
    assert after.graph == fresh.graph
    x = torch.rand(1, 3, new, new)
    torch.testing.assert_close(after.build()(x), net(x))
    narrower = after.apply(wb.DepthMultiplier(0.5))
    assert narrower.graph.macs == fresh.apply(wb.DepthMultiplier(0.5)).graph.macs


class Last(nn.Module):
    """Reads and makes maps with their channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def test_channels_that_stand_last_stay_there() -> None:
    session = wb.open(Last().eval(), example_inputs=torch.rand(1, 32, 48, 3))
    after = session.apply(wb.InputSize(64, 96))
    assert after.graph == wb.open(Last().eval(), example_inputs=torch.rand(1, 64, 96, 3)).graph
    assert after.build()(torch.rand(1, 64, 96, 3)).shape == (1, 32, 48, 4)
    with pytest.raises(NotApplicable, match="already reads images of 32 x 48"):
        session.apply(wb.InputSize(32, 48))
    assert session.apply(wb.DepthMultiplier(0.5)).build()(torch.rand(1, 32, 48, 3)).shape == (1, 16, 24, 4)


def test_heads_that_only_training_runs() -> None:
    net = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False).eval()
    session = wb.open(net, input_size=(3, 64, 64))
    with pytest.raises(NotApplicable, match=r"aux1 \(InceptionAux\) runs in training only"):
        session.apply(wb.DepthMultiplier(0.5))
    outputs = session.apply(wb.DepthMultiplier(0.5, blocks="inception5b*")).build().train()(torch.rand(2, 3, 64, 64))
    assert outputs[1].shape == (2, 1000)


@pytest.mark.parametrize("activation", [nn.Softplus(), nn.Softplus(beta=2.0), nn.Mish(), nn.ELU()], ids=str)
def test_findings_name_activations_that_can_be_replaced(activation: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), activation, nn.Conv2d(16, 4, 1)).eval()
    session = wb.open(net, input_size=(3, 32, 32))
    mends = [mend for mend in session.findings()["mend"] if mend is not None]
    for mend in mends:
        session.apply(mend).build()
