"""The favourable multiple of channels is found, not typed in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.hardware import EthosU
from workbench.hardware.channel_multiple import CHANNELS, favourable_multiple, measure_multiple, sweep_network


@given(st.sampled_from([4, 8, 16, 32]), st.integers(0, 2**32 - 1))
def test_a_staircase_gives_its_step(step, seed):
    noise = np.exp(0.01 * np.random.default_rng(seed).standard_normal(len(CHANNELS)))
    rounded = np.array([-(-c // step) * step for c in CHANNELS], float)
    assert favourable_multiple({1: rounded * noise, 3: rounded**2 * noise}) == step


def test_the_shipped_multiple_is_what_the_compiler_shows():
    target = EthosU("ethos-u55-128")
    shipped = target.channel_multiple
    assert measure_multiple(target) == shipped == 16


@pytest.mark.parametrize("channels", [12, 131])
def test_the_networks_of_the_sweep_are_plain(channels):
    graph = sweep_network(channels, 3)
    assert graph.macs == 4 * 9 * channels**2 * 56 * 56
