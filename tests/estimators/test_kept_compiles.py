"""What a user compiles sharpens the estimates of networks near it, and says so."""

import pytest

import workbench as wb
from workbench.estimators.kept_compiles import compiles_folder
from workbench.hardware import EthosU


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


def test_compiles_of_another_version_of_the_compiler_are_not_used(monkeypatch):
    """They stand in a folder named by the target's digest, which names the compiler's version."""
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    plain = session.estimate.latency_ms
    session.verify()
    assert session.estimate.own == pytest.approx(1)
    monkeypatch.setattr("workbench.hardware.ethos_u.target._vela_version", lambda: "3.0.0")
    other = EthosU("ethos-u65-512")
    assert other.compiler == "vela 3.0.0" and other.digest != session.target.digest
    assert compiles_folder(other) != compiles_folder(session.target)
    later = wb.open("mobilenetv2_050", target=other, input_size=(3, 64, 64)).estimate
    assert later.own == 0 and later.latency_ms == pytest.approx(plain)
