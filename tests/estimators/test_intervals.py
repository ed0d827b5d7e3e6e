"""Intervals hold as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.estimators import estimate
from workbench.estimators.coverage import coverage
from workbench.estimators.intervals import ENOUGH, conformal, interval, networks_on
from workbench.estimators.measured_networks import DATA, read_rows
from workbench.hardware import ETHOS_U, EthosU
from workbench.hardware.lowering import HwOp

from ..graph.zoo import traced


@given(st.integers(0, 2**32 - 1))
def test_nine_in_ten_of_new_ratios_are_inside(seed):
    ratios = np.exp(0.05 * np.random.default_rng(seed).standard_t(3, 6000))
    low, high = conformal(ratios[:2000])
    assert 0.86 < np.mean((ratios[2000:] >= low) & (ratios[2000:] <= high)) < 0.94


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-1024", "ethos-u85-2048"])
def test_families_held_out_are_inside_nine_times_in_ten(target):
    rows = read_rows(DATA)
    rows = rows[(rows.target == target) & (rows.family != "sample") & ~rows.composed]
    inside = []
    for family in rows.family.unique():
        others, own = rows[rows.family != family], rows[rows.family == family]
        low, high = conformal((others.cycles / others.modelled).to_numpy())
        inside += list((own.cycles / own.modelled).between(low - 5e-4, high + 5e-4))
    assert 0.86 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize("target", ETHOS_U)
def test_shipped_measurements_stand_behind_every_accelerator(target):
    assert networks_on(EthosU(target)) >= ENOUGH


def test_what_was_never_measured_widens_the_interval():
    target = EthosU("ethos-u65-512")
    plain, wide = interval(target, False, False), interval(target, False, True)
    assert wide[0] < plain[0] < 1 < plain[1] < wide[1]
    large = estimate(traced("mobilenetv2_100", 640), target)
    assert large.outside == ("maps above 512 pixels a side were never measured",)
    assert "wider because maps above 512" in large.basis


@pytest.mark.parametrize(
    ("kind", "words", "low", "high"),
    [
        ("CONV_2D", (), 1.0, 1.0),
        ("TRANSPOSE_CONV", ("TRANSPOSE_CONV was measured in small networks alone",), 0.99, 1.009),
        ("LSTM", ("LSTM was never measured",), 0.5, 2.0),
    ],
)
def test_an_interval_widens_by_what_was_missed_on_a_kind(kind, words, low, high):
    """Kinds that were checked in small networks are named, too; what nobody checked may cost twice or half."""
    measured = coverage([HwOp("y", kind, (), (1, 8, 8, 16), ("y",))])
    assert (measured.reasons, measured.kinds) == (words, (low, high))
    target = EthosU("ethos-u65-512")
    base, wide = interval(target, False, False), interval(target, False, False, kinds=measured.kinds)
    assert wide == (min(base[0], low), max(base[1], high))
