"""Every strategy trains each network once, keeps to budgets, and ends; a search goes on where it was cut off."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.search.comparison import front_rows
from workbench.search.loop import Cancelled
from workbench.search.order import Work

from .conftest import WORK, score, train
from .conftest import test_part as judge_test


@pytest.mark.parametrize("strategy", ["hybrid", "multishot", "zero-shot"])
def test_each_network_once_the_unedited_one_first_and_controls_among_them(searched, strategy):
    rows = searched(strategy=strategy, trials=12, pool=24).rows()
    trained = sorted((row for row in rows if row.trained), key=lambda row: row.result["place"])
    ended = [row for row in rows if row.state in ("trained", "stopped")]
    assert len(ended) == 12 and not any(row.state in ("running", "failed") for row in rows)
    assert trained[0].kind == "unedited" and not any(trained[0].choices)
    assert {row.kind for row in ended} >= {"unedited", "twin", "random"}
    assert len({row.graph for row in rows}) == len(rows) and len({row.choices for row in ended}) == 12
    assert all(("zero_shot/naswot" in row.scores) == (strategy != "multishot") for row in rows)
    front = front_rows(rows, ("latency_ms",), candidates_budgets(rows))
    assert all(row.test for row in front) and not any(row.test for row in rows if row not in front)


def candidates_budgets(rows):
    from workbench.estimators import Budgets

    return Budgets()


def test_budgets_hold_for_all_but_the_unedited_network(searched, candidates):
    from workbench.search.options import Options

    base = float(candidates.prices.base[0])
    object.__setattr__(candidates, "budgets", Options(budgets={"latency_ms": 0.9 * base}).limits)
    try:
        rows = searched(strategy="multishot", trials=8, budgets={"latency_ms": 0.9 * base}).rows()
    finally:
        object.__setattr__(candidates, "budgets", Options().limits)
    assert all(row.costs["latency_ms"] <= 0.9 * base for row in rows if row.kind != "unedited")
    assert len(rows) >= 8


def killed_after(count):
    """Work whose process ends after so many trials, as far as the loop can tell."""
    calls = []

    def train_some(order):
        calls.append(order)
        if len(calls) > count:
            raise KeyboardInterrupt
        return train(order)

    return Work(score, train_some, judge_test)


def test_cut_off_it_goes_on_and_ends_with_the_same_ledger(searched, tmp_path, candidates):
    options = {"strategy": "hybrid", "trials": 10, "pool": 24}
    whole = searched(**options).rows()
    (tmp_path / "study.db").rename(tmp_path / "whole.db")
    with pytest.raises(KeyboardInterrupt):
        searched(killed_after(5), **options)
    store = searched(**options)
    facts = [(row.choices, row.state, row.result.get("accuracy"), row.result.get("place")) for row in store.rows()]
    assert facts == [(row.choices, row.state, row.result.get("accuracy"), row.result.get("place")) for row in whole]


def test_a_candidate_that_fails_costs_one_trial_and_says_why(searched):
    def train_or_fail(order):
        if len(order.transforms) == 1:
            raise ValueError("no such layer")
        return train(order)

    rows = searched(Work(score, train_or_fail, judge_test), strategy="multishot", trials=8, controls=0.5).rows()
    failed = [row for row in rows if row.state == "failed"]
    assert failed and all(row.reason == "ValueError: no such layer" for row in failed)
    assert len(failed) + sum(row.state in ("trained", "stopped") for row in rows) == 8


def test_where_the_unedited_network_cannot_be_trained_nothing_can(searched, tmp_path):
    def fail(order):
        raise ValueError("no pictures")

    with pytest.raises(WorkbenchError, match="the unedited network cannot be trained: no pictures"):
        searched(Work(score, fail, judge_test), strategy="multishot", trials=4)


def test_told_to_cancel_it_ends_and_what_was_under_way_waits_again(searched, tmp_path):
    def cancel(order):
        store.note("request", "cancel")
        return train(order)

    store = searched(WORK, strategy="multishot", trials=2, controls=0)
    with pytest.raises(Cancelled):
        searched(Work(score, cancel, judge_test), strategy="multishot", trials=6, controls=0)
    rows = store.rows()
    assert not any(row.state == "running" for row in rows)
    assert np.isfinite([row.result["accuracy"] for row in rows if row.trained]).all()
