"""Calibration images: noise is warned of, pictures are not."""

import warnings

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.errors import InputError, NoiseWarning
from workbench.training import prepared, resolve_task

from .training.networks import small


@pytest.fixture(scope="module")
def session():
    return wb.open(small(), input_size=(3, 16, 16)).apply(wb.DepthMultiplier(ratio=0.5))


@pytest.mark.parametrize("task", ["digits", "rooms/presence"])
def test_pictures_are_calibration(session, task):
    pictures, _ = resolve_task(task).batch("val", np.arange(8), (16, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.build(prepared(pictures, (3, 16, 16), session.build()))
        session.build(torch.zeros(4, 3, 16, 16))  # of one colour: no noise, either


@pytest.mark.parametrize("draw", [torch.randn, torch.rand])
def test_noise_is_warned_of(session, draw):
    noise = draw(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.warns(NoiseWarning, match="look like random numbers"):
        session.build(noise)
    with pytest.warns(NoiseWarning):
        session.evaluate("digits", calibration=noise)


def test_what_the_network_does_not_read(session):
    with pytest.raises(
        InputError, match=r"calibration of shape \(4, 3, 8, 8\): they must be a tensor \[N, 3, 16, 16\]"
    ):
        session.build(torch.zeros(4, 3, 8, 8))
