"""What a user compiles sharpens the estimates of networks near it, and says so."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.estimators import Estimate, estimate, keep
from workbench.estimators.kept_compiles import LIKE, compiles_folder
from workbench.graph.trace import trace
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


class Summed(nn.Module):
    """Rows of one element, summed: the U85's compiler takes four times what is modelled for that sum."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = nn.Sequential(*(nn.Linear(32, 32) for _ in range(before)))
        self.score, self.head = nn.Linear(32, 1), nn.Linear(49, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.score(self.before(x)).sum(-1))


class Far(nn.Module):
    """Such a sum, and a layer of another width far behind it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.summed, self.between = Summed(9), nn.Sequential(*(nn.Linear(16, 16) for _ in range(9)))
        self.wide, self.last = nn.Linear(16, width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.wide(self.between(self.summed(x))))


def test_another_network_takes_a_ratio_only_within_bounds_and_its_interval_says_so():
    target = EthosU("ethos-u85-256")
    first, other = (trace(Summed(before).eval(), example_inputs=torch.rand(1, 49, 32)) for before in (1, 2))

    def sum_ms(estimated: Estimate) -> float:
        return float(estimated.ops.set_index("name").latency_ms["sum_1"])

    plain, measured = estimate(other, target), target.measure_graph(first)
    compiled_ms = measured.ops.groupby("source").op_cycles.sum()["sum_1"] / target.clock_hz * 1e3
    assert compiled_ms > 3 * sum_ms(plain)
    assert keep(first, target, measured)
    # the network itself is as it was compiled, that sum among it
    again = estimate(first, target)
    assert again.latency_ms == pytest.approx(measured.latency_ms) and again.own == pytest.approx(1)
    assert sum_ms(again) == pytest.approx(compiled_ms)
    # another one takes no more than the bound, does not call it compiled, and its interval holds all of the ratio
    bounded = estimate(other, target)
    assert sum_ms(bounded) == pytest.approx(LIKE[1] * sum_ms(plain))
    assert 0 < bounded.own < 1 - sum_ms(bounded) / bounded.latency_ms + 1e-9
    rest = bounded.latency_ms - sum_ms(bounded)
    low, high = bounded.latency_interval_ms
    assert high >= rest + compiled_ms
    assert low <= target.measure_graph(other).latency_ms <= high


def test_an_edit_far_away_leaves_the_ratios_of_the_same_surroundings():
    """Nothing around the sum changes: what it took is what it takes, bounds or not."""
    target = EthosU("ethos-u85-256")
    before, after = (trace(Far(width).eval(), example_inputs=torch.rand(1, 49, 32)) for width in (64, 48))
    measured = target.measure_graph(before)
    assert keep(before, target, measured)
    compiled_ms = measured.ops.groupby("source").op_cycles.sum()["sum_1"] / target.clock_hz * 1e3
    edited = estimate(after, target)
    assert edited.ops.set_index("name").latency_ms["sum_1"] == pytest.approx(compiled_ms)
    assert 0.5 < edited.own < 1
