"""Devices with a known answer: what a profile adds to totals is learned, and reaches operators that were not seen."""

from pathlib import Path

import numpy as np
import pytest

from workbench.errors import FileFormatError
from workbench.estimators.device import ProfiledModel, Row, fit_profiled, fit_totals
from workbench.estimators.device.calibration import load_model
from workbench.estimators.device.operator_work import CLASSES, work_of
from workbench.estimators.device.roofline import GRIDS, PRIOR_MEDIAN
from workbench.estimators.device.totals_model import TotalsModel
from workbench.estimators.random_networks import sample
from workbench.graph import Graph
from workbench.hardware import resolve

TARGET = resolve("onnxruntime-cpu")
PLAIN = TotalsModel("synthetic", "0" * 16, "none", tuple(PRIOR_MEDIAN), 1e-7, GRIDS[0], 0)


def spent(graph: Graph) -> np.ndarray:
    """A device that is half as fast where channels are uneven, more so on small maps, and gets additions for free."""
    work = work_of(graph)
    ms = PLAIN.predict_work(work) * np.where(work["cout"] % 16 == 0, 1, 2) * (1 + 8 / np.maximum(work["height"], 1))
    return np.where(work.kind == CLASSES.index("add"), 0, ms)


def row(seed: int) -> Row:
    graph = sample(seed)
    ms = spent(graph)
    nodes = [(name, "Node", float(t)) for name, t in zip(work_of(graph).sources, ms, strict=True) if t > 0]
    return Row(graph, float(ms.sum()), f"sample{seed}", "sample", nodes=tuple(nodes))


ROWS = [row(seed) for seed in range(40)]


@pytest.fixture(scope="module")
def model() -> ProfiledModel:
    model = fit_profiled(TARGET, ROWS[:28])
    assert model is not None
    return model


def test_it_knows_what_totals_cannot_tell(model):
    ratio = np.array([model.predict(r.graph) / r.latency_ms for r in ROWS[28:]])
    totals = fit_totals(TARGET, ROWS[:28])
    before = np.array([totals.predict(r.graph) / r.latency_ms for r in ROWS[28:]])
    assert np.abs(ratio - 1).mean() < 0.06
    assert np.abs(ratio - 1).mean() < np.abs(before - 1).mean() / 2


def test_operators_add_up_and_what_is_free_is_free(model):
    graph = ROWS[30].graph
    ops = model.predict_ops(graph)
    assert sum(ops.values()) == pytest.approx(model.predict(graph))
    adds = [
        name for name, kind in zip(work_of(graph).sources, work_of(graph).kind, strict=True) if CLASSES[kind] == "add"
    ]
    assert all(ops[name] < 0.02 * model.predict(graph) for name in adds)


def test_it_is_kept_as_data(model, tmp_path):
    path = model.with_errors(np.array([0.9, 1.0, 1.1])).save(tmp_path / "model.json")
    again = load_model(path, "")
    assert isinstance(again, ProfiledModel)
    assert again.predict(ROWS[0].graph) == pytest.approx(model.predict(ROWS[0].graph), rel=1e-9)
    assert again.interval[0] < 1 < again.interval[1]


@pytest.mark.parametrize("text", ['{"profile": 99}', '{"profile": 1', '{"profile": 1, "features": []}'])
def test_a_damaged_file_is_refused(text, tmp_path):
    path = Path(tmp_path / "model.json")
    path.write_text(text)
    with pytest.raises(FileFormatError, match="calibrate again"):
        load_model(path, "")


def test_too_few_profiles_are_none():
    assert fit_profiled(TARGET, ROWS[:10]) is None
    assert fit_profiled(TARGET, [Row(r.graph, r.latency_ms, r.name, r.family) for r in ROWS]) is None
