"""A worker that dies takes one trial with it; the search's other workers, and its other trials, go on."""

import os
import signal
import time
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path

import pytest

from workbench.search.order import Work
from workbench.search.workers import Workers

from ..instant_trials import score, train
from ..instant_trials import test_part as judge_test


def train_or_die(order):
    """Ends its process the first time that it trains an edited network."""
    if order.transforms and not (mark := Path(os.environ["DIED"])).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return train(order)


def test_the_others_go_on_where_one_dies():
    pool = Workers(2)
    try:
        slow = pool.submit(time.sleep, 3)
        number = pool.submit(os.getpid).result()
        with pytest.raises(BrokenExecutor):
            pool.submit(os.kill, number, signal.SIGKILL).result()
        assert not slow.cancelled() and slow.result() is None
        assert pool.submit(os.getpid).result() != number
        waits, start = pool.submit(time.sleep, 60), time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 5 and not pool.processes
    with pytest.raises((BrokenExecutor, CancelledError)):
        waits.result()


def test_a_killed_worker_costs_one_trial(searched, tmp_path, monkeypatch):
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    pool = Workers(2)
    try:
        work = Work(score, train_or_die, judge_test)
        rows = searched(work=work, executor=pool, width=2, strategy="multishot", trials=5, controls=0.0).rows()
    finally:
        pool.shutdown()
    failed = [row for row in rows if row.state == "failed"]
    assert [row.reason for row in failed] == ["its worker died"]
    assert sum(row.state in ("trained", "stopped") for row in rows) == 4


def test_a_dask_cluster_of_separate_processes_trains(searched):
    distributed = pytest.importorskip("distributed")
    cluster = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**cluster) as local, distributed.Client(local) as client:
        rows = searched(executor=client.get_executor(pure=False), width=2, strategy="multishot", trials=4).rows()
    assert sum(row.state in ("trained", "stopped") for row in rows) == 4
