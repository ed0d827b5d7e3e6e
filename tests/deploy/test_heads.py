"""Detectors and segmenters as the int8 file that is deployed: same answers, nothing left to the CPU."""

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.deploy import Int8File
from workbench.training import Detection, Segmentation, prepared
from workbench.training.embedded import RoomBoxes, RoomMasks, Rooms

pytestmark = pytest.mark.deploy

FEW = Rooms(train=64, val=16, size=64)


@pytest.mark.parametrize(
    "task",
    [Detection("rooms/detection", RoomBoxes(FEW)), Segmentation("rooms/segmentation", RoomMasks(FEW))],
    ids=["detection", "segmentation"],
)
def test_the_int8_file_answers_as_the_module(task, tmp_path):
    session = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 64, 64), task=task)
    learned = session.finetune(task, epochs=6)
    row: pd.Series = learned.export(tmp_path / "rooms.tflite", task=task).iloc[0]
    assert row["status"] == "compiled" and row["left_to_cpu"] == ""
    assert row["exported"] == pytest.approx(row["module"], abs=0.03)
    assert row["exported"] == pytest.approx(learned.evaluate(task, dtype="int8").value)
    # scores of a short training say little: the maps themselves agree
    module = learned.build()
    images = prepared(task.batch("val", np.arange(8), (64, 64))[0], (3, 64, 64), module)
    with torch.inference_mode():
        wanted = module(images)
    found = Int8File((tmp_path / "rooms.tflite").read_bytes())(images)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().mean() < 0.15 * wanted.std()
