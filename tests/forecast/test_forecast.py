"""A forecast of a network that was edited, beside what training makes of it."""

import json

import pytest

import workbench as wb
from workbench.errors import BudgetError, InputError
from workbench.forecast import evidence
from workbench.forecast.evidence import SHIPPED, evidence_folder, read_evidence

from ..training.networks import bottlenecks

FAST = {"learning_rate": 1e-2, "batch_size": 32}


@pytest.fixture(scope="module")
def learned():
    return wb.open(bottlenecks(), input_size=(3, 16, 16)).finetune("digits", epochs=4, **FAST)


def test_a_network_is_forecast_trained_and_the_next_one_is_forecast_by_it(learned):
    own = learned.forecast("digits")
    value = learned.evaluate("digits").value
    assert (own.score, own.interval, own.complete, len(own.parts)) == (value, (value, value), True, 0)
    edited = learned.apply(wb.FuseIBN("blocks.1"), wb.DepthMultiplier(0.5))
    first = edited.forecast("digits")
    assert not first.complete and "based on 0 candidates trained on digits and " in first.based_on
    assert 0 <= first.interval[0] < first.score < first.interval[1] <= 1
    assert list(first.parts.columns) == ["change", "loss"] and len(first.parts) == 2
    assert first.parts.loss.sum() == pytest.approx(value - first.score, abs=1e-6)
    recovered = edited.recover("digits", epochs=1, pictures=128, distil=0, batch_size=32)
    (file,) = evidence_folder().glob("*.parquet")
    row = read_evidence(file).iloc[0]
    assert row.score == recovered.evaluate("digits").value and row.unedited_score == value
    assert (row.graph, row.network) == (edited.graph.digest, learned.graph.digest)
    assert [step["transform"] for step in json.loads(row.transforms)] == ["FuseIBN", "DepthMultiplier"]
    second = edited.forecast("digits")
    assert "based on 1 candidate trained on digits" in second.based_on
    assert abs(second.score - row.score) < abs(first.score - row.score) + 1e-9
    assert len(evidence()) == len(read_evidence(SHIPPED)) + 1


def test_the_forecast_stands_beside_the_milliseconds_once_a_task_is_named(learned):
    edit = wb.FuseIBN("blocks.1")
    edited = learned.apply(edit)
    foretold = edited.forecast()
    delta = learned.preview(edit)
    assert (delta.forecast.score, delta.forecast.interval) == (foretold.score, foretold.interval)
    text = f"{100 * foretold.score:.1f} % (90 %: "
    assert f"forecast: score {text}" in repr(delta) and "score (forecast)" in delta._repr_html_()
    row = edited.compare().loc["forecast"]
    assert row["after"] == foretold.score and row["figures"].startswith(f"forecast: {text}")
    assert "forecast" not in learned.compare().index  # its score is known
    table = learned.suggest(3)
    assert (table.score_low < table.score).all() and (table.score < table.score_high).all()
    assert table.score[0] == learned.apply(*table.steps[0]).forecast().score
    unnamed = wb.open(bottlenecks(), input_size=(3, 16, 16)).with_weights(learned.build())
    assert unnamed.preview(edit).forecast is None and "score" not in unnamed.suggest(2)
    assert unnamed.forecast("digits").score == learned.forecast().score


def test_what_has_no_forecast_is_told_in_a_sentence(learned):
    plain = wb.open(bottlenecks(), input_size=(3, 16, 16))
    with pytest.raises(InputError, match="the weights are untrained, so there is no score to forecast; finetune"):
        plain.apply(wb.FuseIBN("blocks.1")).forecast("digits")
    with pytest.raises(InputError, match="forecast needs a task, as none was named for this session"):
        plain.forecast()
    with pytest.raises(InputError, match=r"has weights of digits, 4 epochs, so rooms/presence has no score"):
        learned.forecast("rooms/presence")
    with pytest.raises(InputError, match=r"rooms/detection needs a map of 10 channels"):
        learned.with_weights(learned.build()).forecast("rooms/detection")
    assert plain.preview(wb.FuseIBN("blocks.1")).forecast is None


def test_an_accuracy_is_a_budget_like_any_other(learned):
    score = learned.forecast().score
    met = learned.meet(accuracy=score - 0.04)
    assert met.estimate.latency_ms < learned.estimate.latency_ms and met.forecast().score >= score - 0.04
    assert met.undo() == learned and f"meet(accuracy={score - 0.04:g})" in met.history.recipe.iloc[-1]
    with pytest.raises(BudgetError, match="no plan meets accuracy and latency_ms=1e-06: the wall is accu") as caught:
        learned.meet(accuracy=score - 0.04, latency_ms=1e-6)
    assert caught.value.nearest.forecast().score >= score - 0.04
    with pytest.raises(BudgetError, match=r"no plan meets accuracy=0\.999: the wall is accuracy, and Bott"):
        learned.meet(accuracy=0.999)
    with pytest.raises(InputError, match=r"accuracy is 85; it must be a share above 0 and below 1, such as 0\.85"):
        learned.meet(accuracy=85)
