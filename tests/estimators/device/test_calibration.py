"""From measuring to an estimate, on this machine and through a lab's table."""

from pathlib import Path

import pandas as pd
import pytest

from workbench.cli import main
from workbench.errors import InputError, WorkbenchError
from workbench.estimators import device
from workbench.estimators.device.lab_table import emit, rows_of_table
from workbench.estimators.device.measuring import cache_folder, measure
from workbench.estimators.random_networks import sample
from workbench.graph.json_document import graph_to_json
from workbench.hardware import OnnxRuntimeCpu, TableTarget

QUICK = OnnxRuntimeCpu(rounds=1, seconds=0.01)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A table of twelve random networks, 2 ns a multiply-accumulate."""
    (tmp_path / "networks").mkdir()
    for seed in range(12):
        (tmp_path / "networks" / f"sample{seed}.json").write_text(graph_to_json(sample(seed)), encoding="utf-8")
    path = tmp_path / "lab.csv"
    pd.DataFrame(
        {"name": [f"sample{i}" for i in range(12)], "latency_us": [2e-3 * sample(i).macs for i in range(12)]}
    ).to_csv(path, index=False)
    return path


def test_a_lab_is_learned_and_asked(lab: Path, cache: Path):
    target = TableTarget(str(lab))
    assert not device.is_calibrated(target)
    with pytest.raises(WorkbenchError, match="workbench calibrate table:"):
        device.estimate(sample(3), target)
    path = device.calibrate(target)
    assert path.is_relative_to(cache) and device.is_calibrated(target)
    learned = device.estimate(sample(20), target)
    assert learned.latency_ms == pytest.approx(2e-6 * sample(20).macs, rel=0.5)
    assert learned.latency_interval_ms[0] <= learned.latency_ms <= learned.latency_interval_ms[1]
    assert learned.ops.latency_ms.sum() == pytest.approx(learned.latency_ms)
    assert learned.blocks.latency_ms.sum() == pytest.approx(learned.latency_ms)
    assert (learned.complete, learned.target_digest) == (True, target.digest)


def test_a_name_nobody_knows(lab: Path):
    lab.write_text(lab.read_text(encoding="utf-8") + "resnet19,3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no networks/resnet19\.json .* the nearest is 'resnet1"):
        rows_of_table(TableTarget(str(lab)))


def test_measuring_goes_on_where_it_was():
    folder = cache_folder(QUICK)
    told: list[str] = []
    first = measure(QUICK, 3, folder, lambda done, total, name: told.append(f"{done}/{total}"))
    again = measure(QUICK, 3, folder)
    assert told == ["1/3", "2/3", "3/3"]
    assert [(r.name, r.latency_ms) for r in again] == [(r.name, r.latency_ms) for r in first]
    assert len(pd.read_parquet(folder / "measured.parquet")) == len(first) == 3


def test_networks_are_emitted_and_come_back(tmp_path: Path, capsys):
    folder = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", "--emit", "2", str(folder)])
    assert not stopped.value.code
    table = pd.read_csv(folder / "latencies.csv")
    assert sorted(p.suffix for p in (folder / "networks").iterdir()) == [".json"] * 2 + [".onnx"] * 2 + [".tflite"] * 2
    table.assign(latency_ms=[1.0, 2.0]).to_csv(folder / "latencies.csv", index=False)
    target = TableTarget(str(folder / "latencies.csv"))
    rows = rows_of_table(target)
    assert [target.measure_graph(r.graph).latency_ms for r in rows] == [1.0, 2.0]
    assert QUICK.measure(folder / "networks" / f"{rows[1].name}.onnx").complete
    with pytest.raises(InputError, match="is there already"):
        emit(2, folder)


@pytest.mark.parametrize("arguments", [[], ["onnxruntime-cpu", "--emit", "2", "somewhere"]])
def test_a_target_or_a_folder(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", *arguments])
    assert stopped.value.code == 2
    assert "and not both" in capsys.readouterr().err
