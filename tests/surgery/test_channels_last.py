"""Networks that read [N, H, W, C]: what is fitted on pictures is what it is for the same network of [N, C, H, W]."""

import pytest
import torch
from torch import Tensor, nn

import workbench as wb
from workbench.advice import losses_of

from .conftest import smooth
from .test_trial import lively


class ChannelsLast(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.permute(0, 3, 1, 2))
        return y


class Scaled(ChannelsLast):
    """What cameras' pictures are scaled by before they are turned."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - 0.0) / torch.ones(3))


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 32, 3, padding=1), nn.ReLU()]
    return lively(nn.Sequential(*layers, nn.BatchNorm2d(32), nn.Conv2d(32, 4, 1)))


@pytest.mark.parametrize("cls", [ChannelsLast, Scaled])
def test_calibration_is_mirrored_from_left_to_right(cls: type[ChannelsLast]) -> None:
    images = smooth(8, 32, seed=1)
    first = wb.open(network(), input_size=(3, 32, 32))
    last = wb.open(cls(network()).eval(), input_size=(32, 32, 3))
    step = wb.DepthMultiplier(0.5, importance="taylor")
    expected = first.apply(step).build(images).state_dict()
    built = last.apply(step).build(images.permute(0, 2, 3, 1).contiguous()).network.state_dict()
    for key, value in expected.items():
        torch.testing.assert_close(built[key], value, rtol=1e-4, atol=1e-5)


def test_stand_ins_are_rough_in_the_picture_not_over_its_colours() -> None:
    first = losses_of(wb.open(network(), input_size=(3, 32, 32)), None)
    last = losses_of(wb.open(ChannelsLast(network()).eval(), input_size=(32, 32, 3)), None)
    assert torch.equal(last.images.permute(0, 3, 1, 2), first.images)
