"""A search in the bench: its front as it is drawn, what it is told, its candidates as branches."""

import json

import pandas as pd
import pytest

import workbench as wb
from workbench.space import Choice, Slot, Space
from workbench.widgets import Bench

from ..instant_trials import instant_study
from .test_gestures import MOST_BYTES, Driven, bytes_of


def _slot(block):
    return Slot(
        block, (Choice("as it is"), Choice("fuse", (wb.FuseIBN(block),)), Choice("half", (wb.ExpandRatio(3.0, block),)))
    )


SPACE = Space(tuple(map(_slot, ("blocks.1.0", "blocks.2.0", "blocks.3.0"))))


@pytest.fixture(scope="module")
def study(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("studies") / "small.db"
    return instant_study(session, SPACE, path, strategy="multishot", trials=8, budgets={"latency_ms": 1.0})


@pytest.fixture(scope="module")
def watched(session, study):
    """A bench that shows the study."""
    bench = Driven(session)
    bench.study = study
    bench.wait()
    yield bench
    bench.close()


def test_what_is_drawn_is_the_front_of_the_study(watched, study):
    points = {point["trial"]: point for point in watched.front["points"]}
    table = study.front
    assert [number for number, point in points.items() if point["front"]] == list(table.index)
    assert set(points) == {row.number for row in study.rows if row.trained}
    assert points[0]["kind"] == "unedited" and points[0]["steps"] == "as it is"
    for number, row in table.iterrows():
        point = points[number]
        assert point["low"] <= point["y"] <= point["high"]
        assert point["accuracy"] == f"{100 * row.accuracy:.1f} %" and point["against"] == row.against_unedited
        assert ("not told from" in point["note"]) == bool(pd.notna(row.same_as))
    left = [points[number]["x"] for number in table.index]
    assert left == sorted(left) and all(0 <= place <= 1 for place in left)
    assert watched.searched["stage"] == "done" and watched.searched["can"] == []
    assert watched.search_code == [f"study = wb.attach({study.storage!r})"]


def test_budgets_and_branches_stand_on_the_same_axes(session, study):
    bench = Driven(session)
    bench.study = study
    bench.wait()
    assert [text.partition(":")[0] for _, text in bench.front["lines"]] == ["the search's budget"]
    bench.send("budget", metric="latency_ms", value=0.05)
    assert [text.partition(":")[0] for _, text in bench.front["lines"]] == ["the search's budget", "budget"]
    bench.send("apply", steps=[{"transform": "FuseIBN", "blocks": "blocks.1.0"}])
    opened, fused = bench.front["branches"]
    unedited = next(point for point in bench.front["points"] if point["kind"] == "unedited")
    assert opened["x"] == pytest.approx(unedited["x"], abs=1e-4) and opened["y"] is None and not opened["here"]
    assert fused["here"] and "accuracy unknown" in fused["text"]
    places = [0.0, *sorted(point["x"] for point in bench.front["points"]), 1.0]
    gaps = bench.front["gaps"]
    assert gaps and all(not any(low < place < high for place in places) for low, high in gaps)
    bench.close()


def test_where_nothing_was_tried_it_is_said(session, tmp_path):
    study = instant_study(session, SPACE, tmp_path / "one.db", strategy="multishot", trials=1)
    bench = Driven(session)
    bench.study = study
    bench.wait()
    names = "blocks.1.0, blocks.2.0, blocks.3.0"
    assert bench.front["evidence"] == f"No evidence where nothing was tried: {names} (of 3)."
    bench.close()


def test_a_candidate_that_is_pointed_at_is_what_its_steps_give(watched, study, session):
    trial = int(study.front.index[0])
    assert watched.send("preview", trial=trial).startswith(f"Trial {trial} would give ")
    after = session.apply(wb.Recipe("r", study.ledger["steps"][trial]))
    assert watched.preview["totals"]["latency_ms"]["value"] == after.estimate.latency_ms
    assert watched.preview["ghost"]["blocks"] and watched.session is session


def test_what_is_sent_stays_small_and_only_what_changed_is_sent(watched):
    assert bytes_of(watched) < MOST_BYTES
    front, sent = watched.front, []
    watched.observe(lambda change: sent.append(change["name"]), names=list(watched.trait_names(sync=True)))
    watched.send("budget", metric="sram_bytes", value=4096)
    assert "front" not in sent and watched.front == front  # of a budget that is on no axis here
    assert json.dumps(front, allow_nan=False)


def test_a_bench_without_a_session_s_search_says_so(session):
    bench = Bench(session)
    assert "without a session" in bench.search["why"]
    assert session.bench().search["why"] == "" and "calibrated" in session.on("onnxruntime-cpu").bench().search["why"]


@pytest.mark.parametrize(
    ("action", "values", "says"),
    [
        ("search", {}, "a search needs a task: a folder, or one of digits"),
        ("search", {"task": "digits", "strategy": "hybird"}, "the nearest is 'hybrid'"),
        ("search", {"task": "digits", "trials": 0}, "trials is 0"),
        ("search", {"task": "digits", "objective": "latency"}, "unknown objective 'latency'"),
        ("pause", {}, "no search is under way"),
        ("cancel", {}, "no search is under way"),
        ("resume", {}, "there is no study yet"),
        ("open", {"trial": 3}, "there is no study yet"),
        ("preview", {"trial": "x"}, "must be a whole number"),
    ],
)
def test_what_cannot_be_searched_is_said(session, action, values, says):
    bench = session.bench()
    bench.command = {"id": 1, "action": action, **values}
    assert bench.failed and says in bench.status
    bench.close()


def test_a_search_that_cannot_start_says_why(session):
    bench = session.bench()
    bench.command = {"id": 1, "action": "search", "task": "/no/such/folder"}
    bench.wait()
    assert bench.searched["stage"] == "failed" and "there is no folder" in bench.searched["text"]
    bench.close()
