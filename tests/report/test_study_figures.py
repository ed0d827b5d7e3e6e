"""The figures of a study show all that was trained, the front with intervals and budgets, and escape what they show."""

import re

import pandas as pd
import pytest

from workbench.report.study_figures import front_figure, rank_figure, study_picture


@pytest.fixture
def ledger():
    rows = {
        "kind": ["unedited", "drawn", "twin", "random", "drawn"],
        "accuracy": [0.9, 0.8, 0.85, 0.7, float("nan")],
        "low": [0.88, 0.78, 0.83, 0.68, float("nan")],
        "high": [0.92, 0.82, 0.87, 0.72, float("nan")],
        "latency_ms": [2.0, 1.0, 1.5, 1.8, 1.2],
        "sram_bytes": [2048.0, 1024.0, 2048.0, 1024.0, 1024.0],
        "together": [4.0, 3.0, 2.0, 1.0, 0.0],
        "steps": [()] * 5,
    }
    return pd.DataFrame(rows)


@pytest.fixture
def front(ledger):
    table = ledger.loc[[1, 2, 0]].assign(test_accuracy=[0.79, float("nan"), 0.89])
    return table.assign(same_as=pd.array([pd.NA, 1, pd.NA], dtype="Int64"))


def test_the_front_with_intervals_and_budgets(ledger, front):
    svg = front_figure(ledger.dropna(), front, "latency_ms", {"latency_ms": 1.6, "sram_kib": 1.5, "model_kib": None})
    count = {kind: len(re.findall(f'class="wb-{kind}"', svg)) for kind in ("front", "equal", "unedited", "control")}
    assert count == {"front": 1, "equal": 1, "unedited": 1, "control": 1}
    assert svg.count('class="wb-whisker"') == 3 and svg.count('class="wb-test"') == 2
    assert svg.count('class="wb-budget"') == 1  # that of SRAM is on no axis here
    assert "trial 2 (twin): 85.0 % (95 %: 83.0 to 87.0 %), 1.50 ms; unedited" in svg


def test_ranks_from_score_to_score(ledger, front):
    svg = rank_figure(ledger.dropna(), front)
    assert svg.count('class="wb-rank wb-best"') == 3 and svg.count('class="wb-rank"') == 1
    assert "Spearman 0.80" in svg and "trial 1: zero-shot 2, trained 3" in svg


def test_what_is_shown_is_escaped(ledger, front):
    html = study_picture(ledger, front, "latency_ms", "<b>", {}, "<script>alert(1)</script>").html
    assert "<script" not in html and "&lt;b&gt;" in html
    nothing = study_picture(ledger.assign(accuracy=float("nan")), front[:0], "latency_ms", "t", {}, "title").html
    assert "Nothing is trained yet." in nothing
