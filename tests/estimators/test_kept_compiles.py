"""What a user compiles sharpens the estimates of networks near it, and says so."""

import pytest

import workbench as wb


def test_a_compile_is_kept_and_sharpens_the_next_estimate():
    session = wb.open("rexnet_100", target="ethos-u65-512", input_size=(3, 96, 96))
    assert session.estimate.own == 0
    compiled = session.verify()
    again = wb.open("rexnet_100", target="ethos-u65-512", input_size=(3, 96, 96)).estimate
    assert again.latency_ms == pytest.approx(compiled.latency_ms, rel=1e-9)
    assert again.own == pytest.approx(1)
    assert "100 % of it from your own compiles" in again.basis
    near = session.apply(wb.DepthMultiplier(ratio=0.75, blocks="features.12")).estimate
    assert 0.3 < near.own < 1
    other = wb.open("rexnet_100", target="ethos-u55-128", input_size=(3, 96, 96)).estimate
    assert other.own == 0


def test_refresh_tells_what_own_compiles_are_worth():
    from workbench.estimators.kept_compiles import kept_errors

    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96))
    assert kept_errors(session.target).empty
    session.verify()
    session.apply(wb.FuseIBN(blocks="blocks.1.0")).verify()
    table = kept_errors(session.target)
    assert len(table) == 2
    assert (table.own_error.abs() <= table.model_error.abs() + 0.005).all()
    assert (table.own > 0.5).all()
