"""Devices with a known answer: what a model learns from their totals is what they are."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import FileFormatError, InputError
from workbench.estimators.device import Row, TotalsModel, correct, fit_totals, held_out
from workbench.estimators.device.operator_work import CLASSES, work_of
from workbench.estimators.device.roofline import GRIDS, NAMES, PRIOR_MEDIAN, PRIOR_SPREAD, Batch, costs
from workbench.estimators.random_networks import sample
from workbench.hardware import resolve

TARGET = resolve("onnxruntime-cpu")
NETWORKS = [sample(seed) for seed in range(30)]


def device(seed: int, spread: float = 0.7) -> TotalsModel:
    """One that the prior finds plausible."""
    random = np.random.default_rng(seed)
    rates = PRIOR_MEDIAN + spread * PRIOR_SPREAD * random.standard_normal(len(NAMES))
    grid = GRIDS[random.integers(len(GRIDS))]
    return TotalsModel("synthetic", "0" * 16, "none", tuple(rates), 1e-8, grid, 0)


def rows_of(true: TotalsModel, count: int = 20) -> list[Row]:
    return [Row(g, true.predict(g), f"sample{i}", "sample") for i, g in enumerate(NETWORKS[:count])]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_device_is_learned_from_its_totals(seed):
    true = device(seed)
    model = fit_totals(TARGET, rows_of(true))
    ratio = np.array([model.predict(g) / true.predict(g) for g in NETWORKS[20:]])
    assert np.median(np.abs(ratio - 1)) < 0.05
    assert np.mean(np.abs(ratio - 1) < 0.2) >= 0.8


def test_a_lost_measurement_bends_little():
    true = device(0)
    rows = rows_of(true)
    rows[3] = Row(rows[3].graph, 5 * rows[3].latency_ms, "sample3", "sample")
    model = fit_totals(TARGET, rows)
    ratio = np.array([model.predict(g) / true.predict(g) for g in NETWORKS[20:]])
    assert np.median(np.abs(ratio - 1)) < 0.1


def test_parts_count_as_parts():
    true = device(2)
    graph = NETWORKS[0]
    ops = true.predict_ops(graph)
    part = max(ops, key=ops.__getitem__)
    rows = [*rows_of(true, 10), Row(graph, ops[part], "sample0", "sample", part)]
    assert fit_totals(TARGET, rows).predict_ops(graph)[part] == pytest.approx(ops[part], rel=0.25)
    with pytest.raises(InputError, match="no part 'nowhere'"):
        fit_totals(TARGET, [*rows, Row(graph, 1.0, "sample0", "sample", "nowhere")])


def test_held_out_networks_are_predicted_by_others():
    ratio = held_out(partial(fit_totals, TARGET), rows_of(device(3), 12), folds=2)
    assert ratio.shape == (12,)
    assert np.isfinite(ratio).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 29), st.integers(0, 1000))
def test_operators_add_up(network, seed):
    true, graph = device(seed, 1.0), NETWORKS[network]
    spent = true.predict_ops(graph)
    assert sum(spent.values()) == pytest.approx(true.predict(graph))
    assert min(spent.values()) > 0
    assert set(spent) <= {op.name for op in graph.ops}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 29), st.integers(0, 1000), st.integers(0, len(NAMES) - 1))
def test_dearer_rates_never_make_a_network_cheaper(network, seed, which):
    if NAMES[which] in ("near capacity", "overlap"):
        return  # these two save time
    true, work = device(seed, 1.0), work_of(NETWORKS[network])
    rates = np.array(true.rates)
    before = costs(rates, Batch((work,), true.grid))
    rates[which] += 0.5
    assert (costs(rates, Batch((work,), true.grid)) >= before * (1 - 1e-9)).all()


@pytest.mark.parametrize("seed", range(5))
def test_work_counts_what_the_graph_counts(seed):
    work, graph = work_of(sample(seed)), sample(seed)
    layers = ~np.isin(work.kind, [CLASSES.index(name) for name in ("pool", "reduce")])
    assert work["macs"][layers].sum() == graph.macs


def test_a_model_survives_its_file(tmp_path: Path):
    model = device(4).with_errors(np.array([0.9, 1.0, 1.2]))
    assert TotalsModel.load(model.save(tmp_path / "deep" / "model.json")) == model
    low, high = model.interval
    assert low <= 1 <= high


@pytest.mark.parametrize("change", [{"version": 9}, {"rates": {}}, {"unit_ms": None}, {"grid": [1]}, {"interval": 3}])
def test_a_damaged_file_is_told(tmp_path: Path, change):
    path = device(4).save(tmp_path / "model.json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"model\.json"):
        TotalsModel.load(path)


def test_too_few_rows():
    with pytest.raises(InputError, match="at least 5"):
        fit_totals(TARGET, rows_of(device(0), 4))


def test_another_models_estimates_are_corrected():
    """A chip that runs depthwise convolutions at half the speed its compiler thinks, everything else at 0.9."""
    base = device(5)
    slow = CLASSES.index("depthwise")

    def chip(graph):
        work = work_of(graph)
        kind = dict(zip(reversed(work.sources), reversed(work.kind), strict=True))
        return {n: ms * (2.0 if kind[n] == slow else 1 / 0.9) for n, ms in base.predict_ops(graph).items()}

    measured, others = NETWORKS[:15], NETWORKS[15:]
    correction = correct(measured, [base.predict_ops(g) for g in measured], [sum(chip(g).values()) for g in measured])
    before = [abs(sum(base.predict_ops(g).values()) / sum(chip(g).values()) - 1) for g in others]
    after = [abs(sum(correction.apply(g, base.predict_ops(g)).values()) / sum(chip(g).values()) - 1) for g in others]
    assert np.mean(after) < 0.25 * np.mean(before)
    assert correction.rows == 15
    with pytest.raises(InputError, match="at least 1"):
        correct([], [], [])
