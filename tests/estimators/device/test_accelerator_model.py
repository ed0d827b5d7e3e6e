"""Which accelerator stands behind a table of totals."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import FileFormatError
from workbench.estimators import device
from workbench.estimators.cycle_model import modelled
from workbench.estimators.device import AcceleratorModel, Row, fit_accelerator, fit_totals, held_out
from workbench.estimators.random_networks import sample
from workbench.graph.json_document import graph_to_json
from workbench.hardware import EthosU, TableTarget, resolve

TARGET = resolve("onnxruntime-cpu")
NETWORKS = [sample(seed) for seed in range(30)]


def chip_ms(graph, accelerator="ethos-u85-256"):
    """A chip that is a fifth slower than its compiler says, slower still in depthwise layers, with an even start."""
    network = modelled(graph, EthosU(accelerator))
    slower = {"DEPTHWISE_CONV_2D": 1.4}
    cycles = sum(n * slower.get(op.kind, 1.2) for op, n in zip(network.run, network.cycles, strict=True))
    return cycles / EthosU(accelerator).clock_hz * 1e3


@pytest.fixture(scope="module")
def rows():
    return [Row(g, chip_ms(g), f"sample{i}", "sample") for i, g in enumerate(NETWORKS[:20])]


def test_the_accelerator_is_recognised_and_corrected(rows):
    model = fit_accelerator(TARGET, rows)
    assert model is not None
    assert (model.base, model.rows) == ("ethos-u85-256", 20)
    ratio = np.array([model.predict(g) / chip_ms(g) for g in NETWORKS[20:]])
    assert np.abs(ratio - 1).max() < 0.05


def test_another_device_is_nobodys():
    rows = [Row(g, 1e-3 + 1e-9 * g.macs * (1 + i % 5), f"sample{i}", "sample") for i, g in enumerate(NETWORKS[:12])]
    as_accelerator, plain = (held_out(partial(learn, TARGET), rows, folds=3) for learn in (fit_accelerator, fit_totals))
    assert np.isnan(as_accelerator).any() or np.abs(as_accelerator - 1).mean() > np.abs(plain - 1).mean()


def test_it_is_kept_and_asked(rows, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "cache"))
    (tmp_path / "networks").mkdir()
    for row in rows:
        (tmp_path / "networks" / f"{row.name}.json").write_text(graph_to_json(row.graph), encoding="utf-8")
    path = tmp_path / "lab.csv"
    pd.DataFrame({"name": [r.name for r in rows], "latency_ms": [r.latency_ms for r in rows]}).to_csv(path, index=False)
    target = TableTarget(str(path))
    kept = device.calibrate(target)
    model = device.model_of(target)
    assert isinstance(model, AcceleratorModel)
    assert AcceleratorModel.load(kept) == model
    corrected = device.estimate(NETWORKS[25], target)
    assert corrected.latency_ms == pytest.approx(chip_ms(NETWORKS[25]), rel=0.05)
    assert corrected.latency_interval_ms[0] <= corrected.latency_ms <= corrected.latency_interval_ms[1]
    assert corrected.target == target.name
    assert corrected.sram_bytes > 0
    kept.write_text(kept.read_text(encoding="utf-8").replace("ethos-u85-256", "ethos-u99"), encoding="utf-8")
    with pytest.raises(FileFormatError, match="calibrate again"):
        AcceleratorModel.load(kept)
