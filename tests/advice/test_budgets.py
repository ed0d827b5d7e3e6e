"""Budgets are met, at a loss no other choice undercuts, or the wall is named."""

import itertools

import numpy as np
import pytest

import workbench as wb
from workbench.errors import BudgetError, InputError
from workbench.estimators import Budgets


@pytest.mark.parametrize("share", [0.9, 0.6])
def test_a_latency_is_met_and_compiled(session, share):
    budget = share * session.estimate.latency_ms
    met = session.meet(latency_ms=budget)
    assert met.estimate.latency_ms <= budget
    assert met.verify().latency_ms <= budget
    assert met.undo().steps == session.steps or len(met.steps) > 1


def test_a_budget_that_is_met_changes_nothing(session):
    assert session.meet(latency_ms=100) is session


def test_weights_and_memory():
    from ..graph.zoo import lively

    session = wb.open(lively("mobilenetv2_100"), target="ethos-u55-128", input_size=(3, 96, 96))
    sram, weights = session.estimate.sram_bytes / 1024, session.estimate.weight_bytes / 1024
    met = session.meet(sram_kib=0.7 * sram, model_kib=0.8 * weights)
    assert met.estimate.sram_bytes / 1024 <= 0.7 * sram
    assert met.estimate.weight_bytes / 1024 <= 0.8 * weights
    assert met.verify().sram_bytes / 1024 <= 0.7 * sram


def test_the_wall_is_named_and_how_near_one_gets(session):
    with pytest.raises(
        BudgetError, match=r"no plan meets latency_ms=0\.001: the wall is (compute|DRAM|SRAM|FLASH)"
    ) as caught:
        session.meet(latency_ms=0.001)
    nearest = caught.value.nearest
    shown = caught.value._render_traceback_()  # what IPython shows instead of a traceback
    assert shown[0] == f"BudgetError: {caught.value}" and repr(nearest) in shown[1] and len(shown) == 3
    assert nearest.estimate.latency_ms < session.estimate.latency_ms
    assert f"{nearest.estimate.latency_ms:.3f} ms" in str(caught.value)
    with pytest.raises(BudgetError, match="the wall is flash"):
        session.meet(model_kib=1)


def test_the_program_finds_what_trying_everything_finds():
    """Against enumeration, on made-up options."""
    from workbench.advice.priced_network import PricedNetwork, Row, cheapest

    random = np.random.default_rng(0)

    class Whole:
        latency_ms, weight_bytes, sram_bytes, peak_activation_bytes = 10.0, 5000, 1, 1

    for _ in range(20):
        blocks = tuple(
            (Row(None, 0, 0, 0, 0), *(Row(None, *random.uniform((0, -2, -900), (1, 0.5, 100)), 0) for _ in range(3)))
            for _ in range(4)
        )

        class Counted:
            params = 5000

        network = PricedNetwork((), 0.0, Counted, blocks, Whole)
        budgets = Budgets(latency_ms=7.0, model_kib=4000 / 1024)
        every = [
            (sum(r.price**2 for r in rows), choice)
            for choice in itertools.product(range(4), repeat=4)
            if sum((rows := [b[c] for b, c in zip(blocks, choice, strict=True)])[i].latency_ms for i in range(4)) <= -3
            and sum(r.params for r in rows) <= -1000
        ]
        chosen = cheapest(network, budgets)
        if not every:
            assert chosen is None
        else:
            price = sum(blocks[b][c].price ** 2 for b, c in enumerate(chosen))
            assert price == pytest.approx(min(every)[0], abs=1e-4)


@pytest.mark.parametrize("value", [0, -1, "4", True])
def test_budgets_are_numbers_above_zero(session, value):
    with pytest.raises(InputError, match="a budget must be above 0"):
        session.meet(latency_ms=value)


def test_some_budget_is_needed(session):
    with pytest.raises(InputError, match="meet needs a budget"):
        session.meet()
