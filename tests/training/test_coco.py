"""Folders with boxes: read as they are written, and told by name and row where they cannot be."""

import json

import numpy as np
import pytest
from PIL import Image

from workbench.errors import InputError
from workbench.training import Detection, resolve_task


def content(pictures=10):
    """A picture of 40 x 30 pixels each, with a cup in all of them and a plate in every second."""
    boxes = [(i, 7, [2.0, 3, 10, 20]) for i in range(pictures)] + [
        (i, 3, [20, 5, 12.5, 6]) for i in range(0, pictures, 2)
    ]
    return {
        "info": {"year": 2020},
        "images": [{"id": i, "file_name": f"{i}.png", "width": 40} for i in range(pictures)],
        "categories": [{"id": 7, "name": "cup", "supercategory": "thing"}, {"id": 3, "name": "plate"}],
        "annotations": [
            {"id": 100 + i, "image_id": image, "category_id": kind, "bbox": box, "area": 1.0}
            for i, (image, kind, box) in enumerate(boxes)
        ],
    }


def write(folder, held, name="annotations.json", images="images"):
    (folder / images).mkdir(parents=True, exist_ok=True)
    for i in range(10):
        Image.new("RGB", (40, 30), (i, 0, 0)).save(folder / images / f"{i}.png")
    (folder / name).write_text(held if isinstance(held, str) else json.dumps(held))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "kitchen", content())


def test_boxes_are_those_of_the_file(folder):
    task = resolve_task(folder)
    assert isinstance(task, Detection) and task.name == "kitchen"
    assert task.classes == ("plate", "cup")  # in the order of their ids
    assert (task.count("train"), task.count("val")) == (8, 2)
    images, targets = task.batch("train", np.array([0, 1]), (60, 40))
    assert images.shape == (2, 3, 60, 40)
    boxes, labels = targets[0]
    assert labels.tolist() == [1, 0]
    assert boxes.tolist() == [[2, 6, 12, 46], [20, 10, 32.5, 22]]  # as wide, twice as high
    assert targets[1][1].tolist() == [1]
    assert task.digest == resolve_task(str(folder)).digest


def test_another_box_is_another_task(folder):
    before = resolve_task(folder).digest
    held = content()
    held["annotations"][0]["bbox"][0] = 3.0
    assert resolve_task(write(folder, held)).digest != before


def test_halves_that_say_what_is_for_validation(tmp_path):
    write(tmp_path / "data" / "train", content(), "instances_train.json", images=".")
    write(tmp_path / "data" / "val", content(4))
    task = resolve_task(tmp_path / "data")
    assert (task.count("train"), task.count("val")) == (10, 4)
    held = content(4)
    held["categories"][1]["name"] = "dish"
    write(tmp_path / "data" / "val", held)
    with pytest.raises(
        InputError, match=r"val/annotations.json: the categories are dish, cup; those of train are plate"
    ):
        resolve_task(tmp_path / "data")
    (tmp_path / "data" / "val" / "annotations.json").unlink()
    with pytest.raises(InputError, match=r"data/val has no annotations.json"):
        resolve_task(tmp_path / "data")


def test_crowds_are_left_out_and_rounding_is_cut(folder):
    held = content()
    held["annotations"][0] |= {"iscrowd": 1, "bbox": [0, 0, 40, 30]}
    held["annotations"][1]["bbox"] = [-0.5, 10, 41, 20.4]
    _, targets = resolve_task(write(folder, held)).batch("train", np.array([0, 1]), (30, 40))
    assert [len(labels) for _, labels in targets] == [1, 1]
    assert targets[1][0].tolist() == [[0, 10, 40, 30]]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("annotations", 0, "bbox"), [30, 0, 20, 5],
         r"annotation 100: bbox \[30.0, 0.0, 20.0, 5.0\] lies outside 0.png, which is 40 x 30 pixels; "
         r"the nearest is \[30.0, 0.0, 10.0, 5.0\]"),
        (("annotations", 1, "bbox"), [0, -5, 5, 3], r"annotation 101: .* lies outside 1.png"),
        (("annotations", 1, "bbox"), [5, 5, 0, 3], r"annotation 101: .* has no area; its width and height must"),
        (("annotations", 1, "bbox"), [5, 5, 3], r"annotation 101: bbox .* has 3 numbers; it must have 4"),
        (("annotations", 1, "bbox"), [5, 5, float("nan"), 3], r"annotations, entry 1, bbox, entry 2: .* finite number"),
        (("annotations", 1, "bbox"), "5, 5", r"annotations, entry 1, bbox: Input should be a valid list, not '5, 5'"),
        (("annotations", 2, "category_id"), 4, r"annotation 102 has category_id 4, .*; the nearest is 3"),
        (("annotations", 2, "image_id"), 44, r"annotation 102 has image_id 44, which no image has; the nearest is 9"),
        (("images", 4, "file_name"), "4.jpeg", r"names the picture '4.jpeg', .* nor in images/; the nearest is"),
        (("images", 4, "file_name"), "../4.png", r"names the picture '../4.png'; it must lie beside the file"),
        (("images", 4, "id"), 5, r"image id 5 is given twice"),
        (("categories", 0, "name"), "plate", r"category name 'plate' is given twice"),
        (("categories", 0, "id"), "7", r"categories, entry 0, id: Input should be a valid integer"),
        (("categories",), [], r"category id: there is none"),
        (("annotations",), None, r"annotations: Input should be a valid list"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_are_told_by_number(folder, path, value, message):
    held = content()
    place = held
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message) as told:
        resolve_task(write(folder, held))
    assert "annotations.json" in str(told.value) and "\n" not in str(told.value)


def test_classes_without_boxes_and_validation_without_any(folder, tmp_path):
    held = content()
    held["categories"].append({"id": 9, "name": "fork"})
    with pytest.raises(InputError, match="no picture to learn from has a box of the category 'fork'"):
        resolve_task(write(folder, held))
    write(tmp_path / "data" / "train", content())
    held = content(2)
    held["annotations"] = []
    write(tmp_path / "data" / "val", held)
    with pytest.raises(InputError, match=r"val/annotations.json: none of the 2 pictures for validation has a box"):
        resolve_task(tmp_path / "data")


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"images": []}', "\x00", "[" * 100_000])
def test_files_that_are_no_annotations(folder, text):
    with pytest.raises(InputError, match=r"annotations\.json") as told:
        resolve_task(write(folder, text))
    assert len(str(told.value)) < 500 and "\n" not in str(told.value)


def test_broken_pictures_and_two_files(folder):
    broken = folder / "images" / "3.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(InputError, match=r"images/3.png is no whole picture"):
        resolve_task(folder)
    write(folder, content(), "instances_all.json")
    with pytest.raises(InputError, match=r"2 annotation files; keep one of annotations.json, instances_all.json"):
        resolve_task(folder)
