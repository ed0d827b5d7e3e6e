"""Every strategy trains each network once, keeps to budgets, and ends; a search goes on where it was cut off."""

import threading
import time
from dataclasses import replace

import pytest

from workbench.errors import WorkbenchError
from workbench.estimators import Budgets
from workbench.search.comparison import front_rows
from workbench.search.loop import Cancelled
from workbench.search.order import Work

from ..instant_trials import score, train
from ..instant_trials import test_part as judge_test


def _facts(row):
    return row.number, row.choices, row.state, row.result.get("accuracy"), row.result.get("place"), row.test


def _ended(rows):
    return [row for row in rows if row.state in ("trained", "stopped")]


@pytest.mark.parametrize("strategy", ["hybrid", "multishot", "zero-shot"])
def test_each_network_once_the_unedited_one_first_and_controls_among_them(searched, strategy):
    rows = searched(strategy=strategy, trials=8, pool=12, controls=0.25).rows()
    trained = sorted((row for row in rows if row.trained), key=lambda row: row.result["place"])
    assert len(_ended(rows)) == 8 and not any(row.state in ("running", "failed") for row in rows)
    assert trained[0].kind == "unedited" and not any(trained[0].choices)
    assert {row.kind for row in _ended(rows)} >= {"unedited", "twin", "random"}
    assert len({row.graph for row in rows}) == len(rows)
    assert all(("zero_shot/naswot" in row.scores) == (strategy != "multishot") for row in rows)
    front = front_rows(rows, ("latency_ms",), Budgets())
    assert all(row.test for row in front) and not any(row.test for row in rows if row not in front)


def test_budgets_hold_for_all_but_the_unedited_network(searched, candidates):
    budgets = {"latency_ms": 0.9 * float(candidates.prices.base[0])}
    tight = replace(candidates, budgets=Budgets(**budgets))
    rows = searched(candidates=tight, strategy="multishot", trials=6, budgets=budgets).rows()
    assert len(rows) >= 6
    assert all(row.costs["latency_ms"] <= budgets["latency_ms"] for row in rows if row.kind != "unedited")


def test_cut_off_it_goes_on_and_ends_with_the_same_ledger(searched, tmp_path):
    options = {"strategy": "hybrid", "trials": 7, "pool": 10}
    whole = searched(**options).rows()
    (tmp_path / "study.db").rename(tmp_path / "whole.db")
    orders = []

    def train_four(order):
        orders.append(order)
        if len(orders) > 4:
            raise KeyboardInterrupt
        return train(order)

    with pytest.raises(KeyboardInterrupt):
        searched(work=Work(score, train_four, judge_test), **options)
    rows = searched(**options).rows()
    assert [_facts(row) for row in rows] == [_facts(row) for row in whole]


def test_a_candidate_that_fails_costs_one_trial_and_says_why(searched):
    def train_or_fail(order):
        if len(order.transforms) == 1:
            raise ValueError("no such layer")
        return train(order)

    work = Work(score, train_or_fail, judge_test)
    rows = searched(work=work, strategy="multishot", trials=6, controls=0.5).rows()
    failed = [row for row in rows if row.state == "failed"]
    assert failed and all(row.reason == "ValueError: no such layer" for row in failed)
    assert len(failed) + len(_ended(rows)) == 6


def test_where_the_unedited_network_cannot_be_trained_nothing_can(searched):
    def fail(order):
        raise ValueError("no pictures")

    with pytest.raises(WorkbenchError, match="the unedited network cannot be trained: no pictures"):
        searched(work=Work(score, fail, judge_test), strategy="multishot", trials=2)


def test_hopeless_ones_are_stopped_after_their_first_epoch_and_controls_are_not(searched):
    rows = searched(strategy="multishot", trials=30, controls=0.2).rows()
    stopped = [row for row in rows if row.state == "stopped"]
    assert stopped and not {row.kind for row in stopped} & {"unedited", "twin", "random"}
    assert all(row.result["first_epoch"] < row.result["floor"] and row.result["epochs"] == 1 for row in stopped)


def test_told_to_cancel_it_ends_and_what_was_under_way_waits_again(searched):
    store = searched(strategy="multishot", trials=2, controls=0)

    def cancel(order):
        store.note("request", "cancel")
        time.sleep(2)  # still under way when the driver looks
        return train(order)

    with pytest.raises(Cancelled):
        searched(work=Work(score, cancel, judge_test), strategy="multishot", trials=5, controls=0)
    rows = store.rows()
    assert not any(row.state == "running" for row in rows) and len(_ended(rows)) == 2


def test_paused_it_trains_nothing_new_until_it_goes_on(searched):
    store, starts, resumed = searched(strategy="multishot", trials=1, controls=0), [], []

    def go_on():
        resumed.append(time.monotonic())
        store.note("request", "run")

    def train_and_pause(order):
        starts.append(time.monotonic())
        if len(starts) == 1:
            store.note("request", "pause")
            threading.Timer(1.5, go_on).start()
        return train(order)

    rows = searched(work=Work(score, train_and_pause, judge_test), strategy="multishot", trials=3, controls=0).rows()
    assert len(_ended(rows)) == 3 and starts[0] < resumed[0] < starts[1]
