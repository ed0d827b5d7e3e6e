"""Gestures beside the form: rows of the what-if table, branches, budgets, plans, notes, targets, compiles."""

import json
from itertools import count

import pytest

import workbench as wb
from workbench.errors import BudgetError
from workbench.estimators import estimate
from workbench.recipe import from_step
from workbench.session.budgets import watched_meet
from workbench.widgets import Bench, behind

MOST_BYTES = 200 * 1024
BLOCK = "blocks.1.0"


class Driven(Bench):
    """The bench as a browser drives it."""

    ids = count(1)

    def send(self, action, **values):
        self.command = {"id": next(self.ids), "action": action, **values}
        return self.status


@pytest.fixture
def bench(session):
    bench = Driven(session, watched_meet)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def looked(session):
    """A bench that a browser shows, with one block selected; what it prices is there."""
    bench = Driven(session, watched_meet)
    bench.selection = [BLOCK]
    bench.looked = True
    bench.wait()
    yield bench
    bench.close()


def bytes_of(bench):
    traits = [
        name
        for name in bench.trait_names(sync=True)
        if not name.startswith("_") and name not in ("layout", "tabbable", "tooltip")
    ]
    return len(json.dumps({name: getattr(bench, name) for name in traits}, allow_nan=False))


def test_a_row_s_ghost_is_what_applying_it_gives(looked, session):
    assert looked.table["of"] == [BLOCK] and looked.table["done"]
    rows = looked.table["rows"]
    assert [r["cells"]["latency_ms"]["value"] for r in rows] == sorted(r["cells"]["latency_ms"]["value"] for r in rows)
    row = next(r for r in rows if r["what"] == "fuse")
    after = session.apply(wb.FuseIBN(BLOCK))
    for name, total in row["ghost"]["totals"].items():
        assert total["value"] == after.figures[name]
    times = dict(zip(after.blocks["name"], after.blocks["latency_ms"], strict=True))
    for number, (latency, _, live) in row["ghost"]["blocks"].items():
        name = session.blocks["name"][int(number)]
        assert latency == pytest.approx(times[name], abs=1e-6)
        assert max(live) <= after.estimate.peak_activation_bytes
    assert row["cells"]["latency_ms"]["value"] == pytest.approx(after.estimate.latency_ms - session.estimate.latency_ms)


def test_untrained_weights_rank_no_row_by_a_loss(looked):
    assert looked.view["accuracy"]["badge"] == "untrained"
    assert all("loss" not in row for row in looked.table["rows"])


def test_the_memory_track_is_the_estimate_s(looked, session):
    steps, peak = looked.view["steps"], looked.view["peak"]
    assert steps[peak][10] == session.estimate.peak_activation_bytes
    assert sum(step[4] for step in steps) == pytest.approx(session.estimate.latency_ms, rel=1e-4)
    assert all(number < len(looked.view["tensors"]) for step in steps for number in step[12])


def test_what_is_sent_stays_small(looked):
    assert bytes_of(looked) < MOST_BYTES


def test_the_first_sentence_names_the_cost_and_a_cause(looked):
    assert looked.advice["sentence"].startswith(looked.view["totals"]["latency_ms"]["text"])
    assert {finding["block"] for finding in looked.advice["findings"]} <= {b["name"] for b in looked.view["blocks"]}


def test_the_compiler_s_verdict_stands_beside_the_estimate(looked):
    assert looked.branches["nodes"][0]["verdict"].count("compiled") == 1 and not looked.compiling


def test_several_blocks_are_offered_what_fits_all(session):
    bench = Driven(session)
    bench.selection = [BLOCK, "blocks.1.1"]
    bench.looked = True
    bench.wait()
    row = next(row for row in bench.table["rows"] if row["what"] == "fuse")
    assert row["where"] == "2 blocks" and len(row["steps"]) == 1
    bench.send("apply", steps=row["steps"], name=row["what"])
    assert bench.session == session.apply(wb.FuseIBN((BLOCK, "blocks.1.1")))
    bench.close()


def test_of_a_large_network_few_rows_are_estimated_ahead_and_the_others_when_asked(session, monkeypatch):
    monkeypatch.setattr(behind, "_AHEAD_S", 0.0)
    bench = Driven(session)
    bench.selection = [BLOCK]
    bench.looked = True
    bench.wait()
    first, *others = bench.table["rows"]
    assert bench.table["done"] and first["ghost"] and not any(row["ghost"] for row in others)
    bench.send("preview", steps=others[0]["steps"], name=others[0]["what"])
    assert bench.preview["ghost"]["blocks"] and bench.session is session
    bench.close()


def test_a_curve_goes_from_narrow_to_wide_and_its_points_are_steps(looked, session):
    points = looked.curve["points"]
    assert looked.curve["label"] == f"Width inside {BLOCK}"
    assert [int(point["text"]) for point in points] == sorted(int(point["text"]) for point in points)
    after = session.apply(from_step(points[0]["steps"][0]))
    assert points[0]["latency_ms"] == after.estimate.latency_ms
    assert points[0]["ghost"]["totals"]["params"]["value"] == after.graph.params


def test_a_row_is_applied_and_its_code_does_the_same(looked, bench, session):
    row = looked.table["rows"][0]
    bench.send("apply", steps=row["steps"], name=row["what"])
    assert not bench.failed and len(bench.session.changes) == 1
    names = {"session": session, "wb": wb}
    exec(row["code"], names)
    assert names["session"].graph == bench.session.graph


def test_the_code_of_a_branch_gives_the_branch(bench):
    bench.send("apply", transform="FuseIBN", params={"blocks": BLOCK})
    bench.send(
        "apply", steps=[{"transform": "DepthMultiplier", "ratio": 0.75}, {"transform": "EvenChannels"}], name="narrow"
    )
    bench.send("note", block=BLOCK, text="a 'note'")
    names = {}
    exec(bench.code(), names)
    assert names["session"].graph == bench.session.graph
    assert [str(change) for change in names["session"].changes] == [str(change) for change in bench.session.changes]
    assert names["session"].annotations == bench.session.annotations


def test_a_branch_waits_beside_the_session(bench, session):
    bench.send("apply", steps=[{"transform": "FuseIBN", "blocks": BLOCK}], branch=True)
    assert bench.session is session and bench.status.endswith("it waits among the branches.")
    bench.send("go", node=1)
    assert bench.session == session.apply(wb.FuseIBN(BLOCK))


def test_a_step_taken_twice_from_one_place_is_one_branch(bench):
    step = [{"transform": "FuseIBN", "blocks": BLOCK}]
    bench.send("apply", steps=step, branch=True)
    bench.send("apply", steps=step)
    bench.send("undo")
    bench.send("apply", steps=step)
    assert len(bench.branches["nodes"]) == 2 and bench.branches["current"] == 1


def test_another_step_after_undo_keeps_the_first_branch(bench, session):
    bench.send("apply", transform="FuseIBN", params={"blocks": BLOCK})
    bench.send("undo")
    bench.send("apply", transform="DepthMultiplier", params={"ratio": 0.5})
    nodes = bench.branches["nodes"]
    assert [(node["number"], node["parent"]) for node in nodes] == [(0, None), (1, 0), (2, 0)]
    bench.send("go", node=1)
    assert bench.session == session.apply(wb.FuseIBN(BLOCK)) and bench.branches["current"] == 1
    bench.send("compare", node=2)
    other = session.apply(wb.DepthMultiplier(0.5))
    assert bench.view["totals"]["params"]["baseline"] == other.graph.params
    before = {block["name"]: block["before_ms"] for block in bench.view["blocks"]}
    assert before == dict(zip(other.blocks["name"], other.blocks["latency_ms"], strict=True))


def test_going_back_along_one_s_own_steps_can_be_redone(bench):
    bench.send("apply", transform="FuseIBN", params={"blocks": BLOCK})
    bench.send("apply", transform="DepthMultiplier", params={"ratio": 0.5})
    last = bench.session
    bench.send("go", node=0)
    bench.send("redo")
    bench.send("redo")
    assert bench.session == last


def test_a_target_is_changed_and_the_branches_stay(bench):
    bench.send("apply", transform="FuseIBN", params={"blocks": BLOCK})
    bench.send("aim", target="ethos-u55-128")
    assert bench.session.target.name == "ethos-u55-128" and len(bench.branches["nodes"]) == 2
    expected = estimate(bench.session.baseline.graph, bench.session.target, bench.session.weight_values)
    assert bench.branches["nodes"][0]["latency_ms"] == expected.latency_ms


def test_notes_are_hostile_text_like_any_other(bench):
    text = "</script><img src=x onerror=alert(1)>"
    bench.send("note", block=BLOCK, text=text)
    assert bench.notes == [{"block": BLOCK, "text": text, "changed": False}]


def test_a_note_says_when_what_it_speaks_of_has_changed(bench):
    bench.send("note", block=BLOCK, text="idle array")
    bench.send("note", block="blocks.2.0", text="even already")
    bench.send("apply", transform="FuseIBN", params={"blocks": BLOCK})
    assert [note["changed"] for note in bench.notes] == [True, False]
    bench.send("note", block=BLOCK, text="now fused")
    bench.send("undo")
    assert [note["changed"] for note in bench.notes] == [False, False, True]


def test_budgets_say_whether_they_are_met(bench, session):
    half = session.estimate.latency_ms / 2
    assert bench.send("budget", metric="latency_ms", value=half).endswith("it is missed.")
    assert bench.budgets["latency_ms"]["met"] is False
    assert bench.send("budget", metric="sram_bytes", value=4096).endswith("it is met.")
    bench.send("budget", metric="latency_ms", value=None)
    assert list(bench.budgets) == ["sram_bytes"]


def test_a_plan_that_meets_the_budgets_is_taken(bench, session):
    limit = 0.9 * session.estimate.latency_ms
    bench.send("budget", metric="latency_ms", value=limit)
    bench.send("plan")
    bench.wait()
    assert bench.plan["ready"] and not bench.plan["running"] and bench.plan["ghost"]["blocks"]
    assert bench.session is session, "nothing is taken unasked"
    bench.send("adopt")
    assert bench.session.estimate.latency_ms <= limit and len(bench.session.changes) == 1
    assert bench.plan == {}


def test_where_no_plan_meets_them_the_nearest_is_offered(session, fused):
    def meet(*_):
        error = BudgetError("no plan meets latency_ms=0.001: the wall is compute, the nearest takes 0.1 ms")
        error.nearest = fused
        raise error

    bench = Driven(session, meet)
    bench.send("budget", metric="latency_ms", value=0.001)
    bench.send("plan")
    bench.wait()
    assert "the wall is" in bench.plan["text"] and "The nearest: " in bench.plan["text"] and bench.plan["ready"]
    bench.send("adopt")
    assert bench.session == fused


def test_a_plan_can_be_stopped(bench, session):
    bench.send("budget", metric="latency_ms", value=0.5 * session.estimate.latency_ms)
    bench.send("plan")
    bench.send("stop")
    bench.wait()
    assert not bench.plan["running"] and bench.session is session


@pytest.mark.parametrize(
    ("action", "values", "says"),
    [
        ("go", {"node": 7}, "there is no branch 7"),
        ("go", {"node": "x"}, "must be a whole number"),
        ("compare", {}, "must be a whole number"),
        ("aim", {"target": "ethos-u66"}, "unknown target 'ethos-u66'"),
        ("note", {"block": "nowhere", "text": "x"}, "unknown block or module 'nowhere'"),
        ("note", {"block": BLOCK, "text": " "}, "a note needs a text"),
        ("budget", {"metric": "macs", "value": 1}, "unknown budget 'macs'"),
        ("budget", {"metric": "latency_ms", "value": -1}, "a budget must be above 0"),
        ("plan", {}, "a plan needs a budget"),
        ("adopt", {}, "there is no plan to take"),
        ("apply", {"steps": []}, "steps is empty"),
    ],
)
def test_what_cannot_be_done_is_said(bench, session, action, values, says):
    bench.send(action, **values)
    assert bench.failed and says in bench.status
    assert bench.session is session
