"""What is drawn from a truth that is known is forecast as that truth says, and as surely as there is evidence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import FileFormatError
from workbench.forecast import Question, forecast
from workbench.forecast.calibration import ENOUGH, calibrate
from workbench.forecast.evidence import COLUMNS, SHIPPED, evidence, keep, read_evidence, write_evidence
from workbench.forecast.features import DAMAGES, Features, features_of
from workbench.graph import Graph, Op

LABELS = {"network": "n0", "transforms": "[]", "seed": 0, "epochs": 2, "pictures": 500}


def drawn(count, seed, noise=0.01, task="garments", size=1.0):
    """Trained candidates: each loses 2 points, a fifth of what share of its layers is gone, 2 points with each doubling
    of its arithmetic, and what chance adds. size: of the damages.
    """
    rng = np.random.default_rng(seed)
    gone, doubled = size * rng.uniform(0, 0.3, count), size * rng.uniform(0, 2, count)
    lost = 0.02 + 0.2 * gone + 0.02 * doubled + noise * rng.normal(size=count)
    rows = pd.DataFrame({name: 0.0 for name in DAMAGES}, index=range(count))
    rows = rows.assign(
        layers=gone, widths=gone / 5, macs=doubled, distance=gone, unedited_score=0.9, score=0.9 - lost,
        graph=[f"g{seed}-{i}" for i in range(count)], **LABELS,
    )  # fmt: skip
    return rows.assign(task=task, data=task)[list(COLUMNS)]


def features(rows, number=0):
    return Features(**{name: float(rows[name].iloc[number]) for name in ("unedited_score", *DAMAGES)})


def question(own, others):
    return Question("garments", "top-1 accuracy", own, others)


NOTHING = drawn(0, 0)


@pytest.mark.parametrize(("count", "others"), [(8, 0), (20, 0), (60, 0), (0, 40), (5, 40)])
def test_nine_of_ten_are_within_the_interval(count, others):
    within, sure = [], []
    for seed in range(20):
        taught = drawn(others, 1000 + seed, task="cells") if others else NOTHING
        calibration = calibrate(drawn(count, seed), taught)
        held_out = drawn(40, 500 + seed)
        low, high = calibration.interval(held_out).T
        lost = held_out.unedited_score - held_out.score
        within.append(np.mean((low <= lost) & (lost <= high)))
        sure.append(np.mean(high - low))
    assert np.mean(within) >= 0.87
    if count >= 20:
        assert np.mean(within) <= 0.97 and np.mean(sure) < 0.06  # 3.3 times the noise would be perfect


def test_the_order_is_that_of_the_truth():
    held_out = drawn(60, 1, noise=0.0)
    calibration = calibrate(drawn(20, 0), NOTHING)
    lost = pd.Series(calibration.lost(held_out))
    assert lost.corr(held_out.unedited_score - held_out.score, method="spearman") > 0.95
    assert np.abs(lost - (held_out.unedited_score - held_out.score)).mean() < 0.01


def test_more_evidence_narrows():
    widths = []
    held_out = drawn(30, 7)
    for count in (0, 5, 20, 80):
        low, high = np.mean([calibrate(drawn(count, s), NOTHING).interval(held_out) for s in range(5)], 0).T
        widths.append(np.mean(high - low))
    assert widths == sorted(widths, reverse=True)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 30),
    worse=st.sampled_from(DAMAGES),
    by=st.floats(0.1, 3.0),
)
def test_more_damage_never_loses_less(seed, count, worse, by):
    """Whatever was tried, chance alone included."""
    calibration = calibrate(drawn(count, seed, noise=0.2), NOTHING)
    rows = drawn(10, seed + 1)
    more = rows.assign(**{worse: rows[worse] + by})
    assert (calibration.lost(more) >= calibration.lost(rows) - 1e-9).all()
    low, high = calibration.interval(rows).T
    assert (low <= calibration.lost(rows)).all() and (calibration.lost(rows) <= high).all()


def test_beyond_what_was_tried_it_is_wider_and_says_so():
    own, far = drawn(20, 0), drawn(20, 1, size=3.0)
    number = int(np.argmax(far.layers))
    near, beyond = (forecast(question(own, NOTHING), features(rows, i)) for rows, i in ((own, 0), (far, number)))
    assert near.complete and near.based_on == "based on 20 candidates trained on garments"
    assert not beyond.complete and "; beyond all that was tried: the layers that are gone" in beyond.based_on
    assert np.ptp(beyond.interval) > 1.5 * np.ptp(near.interval)


def test_what_other_tasks_taught_is_all_there_is_before_the_first_and_less_with_each():
    others, held_out = drawn(40, 3, task="cells"), drawn(1, 9)
    texts, widths = [], []
    for count in (0, 1, ENOUGH):
        foretold = forecast(question(drawn(count, 0), others), features(held_out))
        texts.append(foretold.based_on)
        widths.append(np.ptp(foretold.interval))
        assert foretold.complete == (count == ENOUGH)
    assert texts[0] == (
        "based on 0 candidates trained on garments and 40 on 1 other task or network; 5 on garments make it complete"
    )
    assert widths[0] > widths[2]


def test_steps_share_out_the_loss():
    own = drawn(20, 0)
    table = forecast(question(own, NOTHING), features(own), [("fused", features(own, 1)), ("all", features(own))]).parts
    assert list(table.change) == ["fused", "all"]
    foretold = forecast(question(own, NOTHING), features(own))
    assert table.loss.sum() == pytest.approx(0.9 - foretold.score)


def test_damages_are_what_was_done_to_the_network():
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    graph = session.graph
    assert features_of(graph, graph, 0.9, 0.0) == Features(0.9)
    layers = sum(op.kind in ("conv2d", "linear") for op in graph.ops)
    fused = features_of(graph, session.apply(wb.FuseIBN("blocks.1.0")).graph, 0.9, 0.1)
    assert fused.layers == pytest.approx(1 / layers) and fused.macs > 0 == fused.widths
    assert fused.distance == pytest.approx(np.log(3))
    narrow = features_of(graph, session.apply(wb.DepthMultiplier(0.5)).graph, 0.9, 0.0)
    assert 0.7 < narrow.widths <= 1 and narrow.layers == narrow.macs == 0  # the classes stay as many
    picture, smaller = (Graph((Op("x", "input", (), (1, 3, side, side)),), ("x",)) for side in (32, 16))
    assert features_of(picture, smaller, 0.9, 0.0) == Features(0.9, pixels=2.0)


def test_trained_candidates_are_kept_whole_and_damage_is_told(tmp_path):
    shipped = read_evidence(SHIPPED)
    assert len(shipped) and len(evidence()) == len(shipped)
    row = drawn(1, 0).iloc[0].to_dict()
    file = keep(row)
    assert keep(row | {"score": 0.5}) == file and len(list(file.parent.glob("*.parquet"))) == 1
    assert len(evidence()) == len(shipped) + 1 and evidence().score.iloc[-1] == 0.5
    assert write_evidence(drawn(3, 0), tmp_path / "rows.parquet").is_file()
    assert len(read_evidence(tmp_path / "rows.parquet")) == 3
    (tmp_path / "cut.parquet").write_bytes(file.read_bytes()[:-20])
    with pytest.raises(FileFormatError, match=r"cut\.parquet is no whole table of trained candidates; delete it"):
        read_evidence(tmp_path / "cut.parquet")
    drawn(2, 0).drop(columns="widths").to_parquet(tmp_path / "less.parquet")
    with pytest.raises(FileFormatError, match="has no column 'widths', as trained candidates have"):
        read_evidence(tmp_path / "less.parquet")
