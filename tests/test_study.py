"""A search in a process of its own: killed, gone on with, cancelled; its front, and what is adopted of it."""

import os
import signal
import time

import numpy as np
import pytest

import workbench as wb
from workbench.errors import InputError
from workbench.space import Choice, Slot, Space

from .colours import colours as write_colours

SMALL = {"epochs": 1, "pictures": 16, "controls": 0.0, "schedule": {"batch_size": 12}, "workers": 1}


def _edits(block, **transforms):
    return Slot(block, (Choice("as it is"), *(Choice(label, (edit,)) for label, edit in transforms.items())))


SPACE = Space(
    (
        _edits("blocks.1.0", half=wb.ExpandRatio(2.0, "blocks.1.0")),
        _edits("blocks.2.0", half=wb.ExpandRatio(2.0, "blocks.2.0")),
        _edits("blocks.3.0", fuse=wb.FuseIBN("blocks.3.0")),
    )
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One home for the processes of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(folder := tmp_path_factory.mktemp("home")))
        yield folder


@pytest.fixture(autouse=True)
def _same_home(home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(home))


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("pictures") / "colours", train=16, val=16, test=8)


@pytest.fixture(scope="module")
def session(colours, home):
    opened = wb.open("test_efficientnet", target="ethos-u55-128", task=colours, input_size=(3, 32, 32))
    return opened.finetune(colours, epochs=2, batch_size=12)


def until(study, reached):
    end = time.monotonic() + 900
    while not reached(study.status):
        assert time.monotonic() < end, f"{study}\n{study.log}"
        assert not study.status.ended, f"{study}\n{study.log}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def killed(session, colours, home, tmp_path_factory):
    """(where a study is stored, its ledger when its driver was killed)."""
    path = tmp_path_factory.mktemp("studies") / "small.db"
    options = {"strategy": "multishot", "trials": 3, "space": SPACE, "storage": path, "block": False}
    study = session.search(colours, **SMALL, **options)
    until(study, lambda status: status.trained >= 1)
    (driver,) = study.store.drivers()
    os.kill(driver.number, signal.SIGKILL)
    return path, study.ledger


@pytest.fixture(scope="module")
def study(killed):
    """The same study, found again and searched to its end."""
    attached = wb.attach(killed[0])
    assert attached.status.stage == "stopped"
    attached.resume().wait(900)
    return attached


def test_a_killed_driver_costs_what_it_was_training(study, killed):
    before, after = killed[1], study.ledger
    rows = before.index[before["state"] == "trained"]
    assert 1 <= len(rows) < 3
    columns = ["kind", "accuracy", "low", "high", "loss", "latency_ms", "seconds", "graph", "transforms"]
    assert before.loc[rows, columns].equals(after.loc[rows, columns])
    assert study.status.stage == "done" and (after["state"] == "trained").sum() == 3
    assert after["graph"].is_unique and after["kind"].iloc[0] == "unedited"


def test_what_is_adopted_is_what_was_trained(study, session, colours):
    front = study.front
    trial = int(front.index[-1])
    adopted = study.adopt(trial)
    assert isinstance(adopted, wb.Session) and adopted.graph.digest == study.ledger["graph"][trial]
    assert adopted.evaluate(colours).value == front["accuracy"][trial]
    assert adopted.evaluate(colours, part="test").value == front["test_accuracy"][trial]
    assert front["latency_ms"][trial] == pytest.approx(adopted.estimate.latency_ms, rel=0.02)
    edited = next(trial for trial, kind in study.ledger["kind"].items() if kind != "unedited")
    session_after = study.adopt(int(edited))
    assert session_after.undo().undo() == study.session
    assert session.apply(*study.ledger["steps"][edited]).graph == session_after.graph


def test_another_target_costs_nothing_to_train(study):
    other = study.on("ethos-u85-256")
    assert other.ledger["accuracy"].equals(study.ledger["accuracy"])
    assert not np.isclose(other.ledger["latency_ms"], study.ledger["latency_ms"]).any()
    assert other.adopt(int(other.front.index[0])).target.name == "ethos-u85-256"


def test_figures_and_effects(study):
    html = study.plot().html
    assert html.count('class="wb-study"') == 2 and "<script" not in html
    table = study.explain()
    assert set(table["block"]) <= {"blocks.1.0", "blocks.2.0", "blocks.3.0"} and (table["candidates"] > 0).all()


@pytest.mark.parametrize(("strategy", "score"), [("single-shot", "supernet"), ("hybrid", "forecast")])
def test_a_strategy_ranks_by_its_own_score(strategy, score, session, colours):
    study = session.search(colours, strategy, trials=2, pool=4, space=SPACE, **SMALL)
    ledger = study.ledger
    assert ledger[score].notna().all() and len(ledger) >= 4 and (ledger["state"] == "trained").sum() == 2
    if strategy == "single-shot":  # the unedited network first, then one of a front of what was not trained yet
        chosen, others = ledger[ledger["state"] == "trained"].iloc[1], ledger[ledger["state"] == "waiting"]
        better = (others[score] > chosen[score]) & (others["latency_ms"] <= chosen["latency_ms"])
        assert not better.any()


def test_the_bench_opens_a_candidate_as_a_branch_with_its_weights(study, session, colours):
    bench = session.bench()
    bench.study = study
    bench.wait()
    assert [point["trial"] for point in bench.front["points"] if point["front"]] == list(study.front.index)
    trial = next(int(trial) for trial, kind in study.ledger["kind"].items() if kind != "unedited")
    bench.command = {"id": 1, "action": "open", "trial": trial, "branch": True}
    assert bench.session is session and bench.status.endswith("it waits among the branches.")
    bench.command = {"id": 2, "action": "open", "trial": trial}
    assert not bench.failed and bench.session.evaluate(colours).value == study.ledger["accuracy"][trial]
    assert len(bench.branches["nodes"]) == 4, "learned, edited, learned again: once, though it was opened twice"
    here = next(node for node in bench.front["branches"] if node["here"])
    point = next(point for point in bench.front["points"] if point["trial"] == trial)
    assert here["y"] == point["y"] and here["x"] == pytest.approx(point["x"], abs=0.02)
    assert bench.search_code[-1] == f"session = study.adopt({trial})"
    bench.command = {"id": 3, "action": "undo"}
    bench.command = {"id": 4, "action": "undo"}
    assert bench.session == session
    bench.close()


def test_the_bench_starts_a_search_stays_responsive_and_cancels_it(session, colours):
    bench = session.bench()
    assert bench.search["task"] == str(colours)
    start = time.monotonic()
    bench.command = {"id": 1, "action": "search", "task": bench.search["task"], "trials": 3, "epochs": 1, "workers": 1}
    bench.command = {"id": 2, "action": "apply", "steps": [{"transform": "FuseIBN", "blocks": "blocks.3.0"}]}
    assert time.monotonic() - start < 5 and not bench.failed and len(bench.session.changes) == 2
    bench.command = {"id": 3, "action": "search", "task": "digits"}
    assert bench.failed and "a search is under way" in bench.status
    end = time.monotonic() + 300
    while bench.study is None and time.monotonic() < end:
        time.sleep(0.1)
    bench.command = {"id": 4, "action": "cancel"}
    assert not bench.failed
    bench.wait()
    assert bench.searched["stage"] == "cancelled" and bench.searched["can"] == ["resume"]
    assert not bench.study.store.drivers() and bench.study.session == session
    assert bench.search_code[0].startswith(f"study = session.search({str(colours)!r}, strategy='hybrid', trials=3")
    bench.close()


def test_cancelled_within_a_second_and_gone_on_with(session, colours, tmp_path):
    options = {"trials": 3, "space": SPACE, "storage": tmp_path / "c.db", "block": False}
    study = session.search(colours, **SMALL, **options)
    start = time.monotonic()
    study.cancel()
    assert time.monotonic() - start < 3 and study.status.stage == "cancelled" and not study.store.drivers()


def test_what_cannot_be_searched_is_told_before_anything_is_stored(session, colours, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from workbench.training import resolve_task

    path, misfit = tmp_path / "never.db", Space((_edits("blocks.0.0", fuse=wb.FuseIBN("blocks.0.0")),))
    wide = Space((_edits("", half=wb.DepthMultiplier(0.5)),))
    for options, words in (
        ({"strategy": "hybird"}, "unknown strategy 'hybird'; the nearest is 'hybrid'"),
        ({"executor": ThreadPoolExecutor(1), "block": False}, "which cannot use this ThreadPoolExecutor"),
        ({"workers": 0}, "workers is 0"),
        ({"schedule": {"rate": 1}}, "unknown option of training 'rate'"),
        ({"space": misfit}, "'fuse' of block blocks.0.0 does not apply"),
        ({"task": resolve_task(colours)}, "a study names its task"),
        ({"strategy": "single-shot", "space": wide}, "single-shot needs choices that change one block alone"),
    ):
        with pytest.raises(InputError, match=words):
            session.search(**{"task": colours, "storage": path, "block": True, **options})
    assert not path.exists()
