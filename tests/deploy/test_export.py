"""The int8 file: what it answers, what it costs, and that it is the network the estimate is of."""

import pytest
import torch

import workbench as wb
from workbench.deploy import Int8File, int8_file
from workbench.errors import InputError
from workbench.metrics import interval_text

from ..graph.zoo import lively
from ..training.networks import small

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return wb.open(small(), input_size=(3, 16, 16)).finetune("digits", epochs=6, learning_rate=1e-2, batch_size=32)


def test_int8_loses_a_point_at_most(learned, tmp_path):
    edited = learned.apply(wb.EvenChannels("up", multiple=20))
    (row,) = edited.export(tmp_path / "small.tflite", task="digits").to_dict("records")
    assert row["module"] > 0.93
    assert row["exported"] >= row["module"] - 0.01
    floats, int8 = (edited.evaluate("digits", dtype=dtype) for dtype in ("float", "int8"))
    assert int8.value == pytest.approx(row["exported"])
    assert row["difference"] == int8.against(floats).text and row["difference"].startswith("no difference: ")
    assert (row["pictures"], row["module_95"]) == (359, interval_text(floats.interval))
    assert row["kib"] == pytest.approx((tmp_path / "small.tflite").stat().st_size / 1024)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
@pytest.mark.parametrize(
    "steps", [(), (wb.DepthMultiplier(ratio=0.75), wb.EvenChannels("up", multiple=20))], ids=["", "edited"]
)
def test_what_is_exported_costs_what_is_compiled_and_estimated(name, steps, tmp_path):
    session = wb.open(lively(name), target="ethos-u55-128", input_size=(3, 96, 96))
    session = session.apply(*steps) if steps else session
    images = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    (row,) = session.export(tmp_path / "file.tflite", calibration=images).to_dict("records")
    assert row["status"] == "compiled"
    assert not row["left_to_cpu"]
    assert row["latency_ms"] == pytest.approx(session.verify().latency_ms, rel=0.02)
    low, high = session.estimate.latency_interval_ms
    assert low <= row["latency_ms"] <= high
    assert row["sram_kib"] == pytest.approx(session.estimate.sram_bytes / 1024, rel=0.05)


def test_the_file_answers_as_the_module_does():
    module = lively("mobilenetv2_050")
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = module(images)
    found = Int8File(int8_file(module, images))(images)
    assert found.shape == wanted.shape
    assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.9


def test_an_onnx_file_is_judged_as_it_runs(learned, tmp_path):
    (row,) = learned.export(tmp_path / "small.onnx", task="digits").to_dict("records")
    assert row["exported"] == row["module"]
    assert row["difference"].startswith("no difference: 0.0 points")


def test_random_ranges_are_warned_of(learned, tmp_path):
    with pytest.warns(UserWarning, match="no calibration images"):
        learned.export(tmp_path / "small.tflite")


def test_formats_there_are_not(learned, tmp_path):
    with pytest.raises(InputError, match=r"cannot export to '.tf'; the nearest supported format is small.tflite"):
        learned.export(tmp_path / "small.tf")
    assert not list(tmp_path.iterdir())
