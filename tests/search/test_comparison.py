"""Fronts call equal what pictures do not tell apart; a front that moves by noise alone is settled."""

import numpy as np
import pytest

from workbench.estimators import Budgets
from workbench.search.comparison import differ, excess, front_rows, front_table, settled
from workbench.search.effects import effects
from workbench.search.row import Row
from workbench.search.score_files import read_score, score_file
from workbench.space import Choice, Slot, Space
from workbench.training import Score
from workbench.training.evidence import Hits, Means, Overlaps
from workbench.training.matches import ClassMatches, Matches

PICTURES = 400


def row(number, latency, right, kind="drawn", **facts):
    """A candidate that names the first `right` of the pictures right."""
    accuracy = right / PICTURES
    result = {"accuracy": accuracy, "low": accuracy - 0.04, "high": accuracy + 0.04, "place": number} | facts
    costs = {"latency_ms": latency, "sram_bytes": 2048, "weight_bytes": 1024, "macs": 10}
    return Row(number, (number % 2, number // 2 % 2), kind, "trained", str(number), costs, result=result)


def score_of(row):
    right = np.arange(PICTURES) < round(row.accuracy * PICTURES)
    evidence = Hits(right), Means(1.0 - right)
    return Score("t", "a", float(right.mean()), PICTURES, "float", "val", "d", False, *evidence)


def test_the_front_and_what_is_equal_on_it():
    rows = [row(0, 4.0, 330, "unedited"), row(1, 1.0, 300), row(2, 2.0, 302), row(3, 3.0, 290), row(4, 5.0, 330)]
    front = front_rows(rows, ("latency_ms",), Budgets())
    assert [r.number for r in front] == [1, 2, 0]
    table = front_table(front, rows[0], score_of)
    assert table["same_as"].tolist()[1] == 1 and table["same_as"].isna().tolist() == [True, False, True]
    assert table["difference"][2].startswith("no difference: +0.5 points")
    assert table["difference"][0].startswith("+7.0 points") and table["against_unedited"][1].startswith("−7.5 points")
    assert not differ(rows[1], rows[2], lambda _: None) and differ(rows[1], rows[0], lambda _: None)


def test_a_front_keeps_to_budgets_and_looks_at_every_objective():
    rows = [row(0, 4.0, 330), row(1, 1.0, 300)]
    assert excess(rows[0].costs, Budgets(latency_ms=2.0, sram_kib=2)) == {"latency_ms": 1.0, "sram_kib": 0.0}
    assert [r.number for r in front_rows(rows, ("latency_ms",), Budgets(latency_ms=2.0))] == [1]
    assert [r.number for r in front_rows(rows, (), Budgets())] == [0]
    twice = [row(0, 1.0, 300), row(1, 1.0, 300)]
    assert [r.number for r in front_rows(twice, ("latency_ms", "macs"), Budgets())] == [0]


def test_a_front_that_moves_by_noise_alone_is_settled():
    begun = [row(0, 4.0, 330, "unedited"), row(1, 1.0, 300)]
    noise = [row(2 + i, 2.0 + i / 10, 301 + i % 3) for i in range(4)]
    assert settled([*begun, *noise], ("latency_ms",), 4, score_of)
    assert not settled([*begun, *noise[:3]], ("latency_ms",), 4, score_of)
    assert not settled([*begun, *noise[:3], row(9, 0.5, 100)], ("latency_ms",), 4, score_of)
    assert not settled([*begun, *noise[:3], row(9, 2.0, 340)], ("latency_ms",), 4, score_of)


def test_what_each_choice_adds_is_what_was_put_in():
    slots = [Slot(b, tuple(Choice(label) for label in ("as it is", "edit"))) for b in ("a", "b")]
    rows = []
    for number in range(12):
        x, y = number % 2, number // 2 % 2
        rows.append(row(number, 4.0 - x - 0.5 * y, 340 - 40 * x - 4 * y))
    table = effects(rows, Space(tuple(slots)), "latency_ms").set_index("block")
    assert table["accuracy"].to_dict() == pytest.approx({"a": -0.1, "b": -0.01}, abs=0.003)
    assert table["latency_ms"].to_dict() == pytest.approx({"a": -1.0, "b": -0.5}, abs=0.01)
    assert (table["low"] <= table["accuracy"]).all() and (table["candidates"] == 6).all()
    assert effects(rows[:1], Space(tuple(slots)), "latency_ms").empty


@pytest.mark.parametrize(
    "evidence",
    [
        Hits(np.array([True, False, True])),
        Overlaps(np.arange(12).reshape(3, 2, 2)),
        Matches(
            np.array([[1], [0], [2]], np.int32),
            (ClassMatches(np.array([0, 2], np.int32), np.array([[True] * 10, [False] * 10])),),
        ),
    ],
    ids=lambda evidence: type(evidence).__name__,
)
def test_a_score_is_read_as_it_was_written(evidence):
    score = Score("t", "a", evidence.value, 3, "float", "val", "d", True, evidence, Means(np.array([0.1, 0.2, 0.3])))
    again = read_score(score_file(score), "a file")
    assert again == score and again.interval == score.interval and again.losses.value == score.losses.value
    assert again.against(score).value == 0
