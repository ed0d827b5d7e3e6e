"""Suggested steps do what the table says when they are applied."""

import pytest
from torch import nn

import workbench as wb
from workbench.errors import InputError

from ..surgery.conftest import smooth


@pytest.fixture
def table(session):
    return session.suggest(12)


def test_applied_they_change_what_was_predicted(session, table):
    assert 4 < len(table) <= 12
    for row in table.itertuples():
        after = session.apply(*row.steps).estimate
        assert after.latency_ms - session.estimate.latency_ms == pytest.approx(row.latency_ms, abs=1e-9)
        assert after.sram_bytes - session.estimate.sram_bytes == row.sram_bytes
        assert row.latency_ms < 0
        assert after.complete


def test_the_rank_is_gain_over_loss(table):
    assert table.gain_per_loss.is_monotonic_decreasing
    ratio = -table.latency_percent / table.loss.clip(lower=1e-3)
    assert ratio.to_numpy() == pytest.approx(table.gain_per_loss.to_numpy())


def test_pairs_gain_more_together(session, table):
    everything = session.suggest(200)
    single = {row.steps[0]: row.latency_ms for row in everything.itertuples() if len(row.steps) == 1}
    for row in everything.itertuples():
        if len(row.steps) == 2 and all(step in single for step in row.steps):
            assert row.latency_ms < sum(single[step] for step in row.steps)


def test_the_loss_is_that_of_the_images(session):
    images = smooth(4, 96, seed=5)
    table = session.suggest(40, images)
    whole = table[[("*" in step.blocks if hasattr(step, "blocks") else True) for (step, *_) in table.steps]]
    row = next(r for r in whole.itertuples() if len(r.steps) == 1)
    error = session.apply(*row.steps).fidelity(images).relative_error.iloc[-1]
    assert row.loss == pytest.approx(error, rel=1e-3)


def test_a_grey_picture_leads_to_no_ratio_outside_the_rule():
    """64 channels from one: three quarters of them are no expansion ratio there is."""
    layers = [nn.Conv2d(1, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12)).eval()
    session = wb.open(model, target="ethos-u65-512", input_size=(1, 48, 16))
    assert len(session.suggest(3)) > 0


def test_wrong_numbers_and_images(session):
    with pytest.raises(InputError, match="n is 0"):
        session.suggest(0)
    with pytest.raises(InputError, match="images of shape"):
        session.suggest(3, smooth(2, 64, seed=1))
