"""Several targets side by side, and a deployed file as the baseline."""

import pytest

import workbench as wb
from workbench.hardware.tflite import write_tflite

from .test_gestures import BLOCK, Driven

NAMES = ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256", "onnxruntime-cpu"]


@pytest.fixture
def bench(session):
    bench = Driven(session)
    yield bench
    bench.close()


def test_the_same_edits_on_every_target(bench, session):
    bench.beside = NAMES
    bench.send("apply", steps=[{"transform": "FuseIBN", "blocks": BLOCK}])
    bench.wait()
    rows = {row["target"]: row for row in bench.sides["rows"]}
    assert bench.sides["done"] and list(rows) == ["ethos-u65-512", "ethos-u55-128", "ethos-u85-256", "onnxruntime-cpu"]
    assert [name for name, row in rows.items() if row["here"]] == ["ethos-u65-512"]
    fused = session.apply(wb.FuseIBN(BLOCK))
    for name in ("ethos-u55-128", "ethos-u85-256"):
        table = fused.on(name).compare()
        assert rows[name]["latency_ms"] == table["after"]["latency_ms"]
        before, after = table["before"]["latency_ms"], table["after"]["latency_ms"]
        assert rows[name]["change"].startswith("+" if after > before else "\N{MINUS SIGN}")
    assert rows["onnxruntime-cpu"]["latency_ms"] is None and rows["onnxruntime-cpu"]["note"] == "not calibrated"
    bench.send("aim", target="ethos-u85-256")
    bench.wait()
    assert next(row["target"] for row in bench.sides["rows"] if row["here"]) == "ethos-u85-256"


def test_a_deployed_file_is_the_baseline_of_the_totals(bench, session, fused, tmp_path):
    file = tmp_path / "deployed.tflite"
    file.write_bytes(write_tflite(fused.graph).data)
    assert bench.send("deployed", path=str(file)).startswith("Totals are shown beside deployed.tflite")
    bench.wait()
    measured = session.target.measure(file)
    assert bench.deployed["name"] == "deployed.tflite" and bench.deployed["word"] == "compiled"
    totals = bench.view["totals"]
    assert totals["latency_ms"]["baseline"] == measured.latency_ms
    assert totals["sram_bytes"]["baseline"] == measured.sram_bytes and totals["weight_bytes"]["baseline"] is None
    before = bench.view["blocks"][2]["before_ms"]
    assert before == bench.view["blocks"][2]["latency_ms"], "no blocks of a file are known"
    bench.send("compare", node=0)
    assert bench.deployed == {} and bench.view["totals"]["latency_ms"]["baseline"] == session.estimate.latency_ms


def test_a_file_that_cannot_be_a_baseline_is_told(bench, tmp_path):
    assert "there is no file" in bench.send("deployed", path=str(tmp_path / "none.tflite")) and bench.failed
    (tmp_path / "broken.tflite").write_bytes(b"not a network")
    bench.send("deployed", path=str(tmp_path / "broken.tflite"))
    bench.wait()
    assert "broken.tflite on ethos-u65-512: " in bench.deployed["text"]
