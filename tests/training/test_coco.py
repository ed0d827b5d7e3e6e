"""Folders with boxes: read as they are written, and told by name and row where they cannot be."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

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
        (("annotations", 1, "id"), 100, r"annotation id 100 is given twice"),
        (("annotations", 1, "iscrowd"), "no", r"annotations, entry 1, iscrowd: Input should be a valid integer"),
        (("images", 4, "file_name"), "5.png", r"the picture '.*5.png' is given twice"),
        (("images", 4, "width"), 640,
         r"image 4 has width 640 and height None, and 4.png is 40 x 30 pixels; boxes must be of the picture"),
        (("images", 4), {"id": 4, "file_name": "4.png", "width": 30, "height": 40},
         r"image 4 has width 30 and height 40, and 4.png is 40 x 30 pixels"),
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


# ---- as tools lay folders out -----------------------------------------------------------------------------------


def test_roboflows_folders(tmp_path):
    """Each part with _annotations.coco.json beside its pictures; category 0 is the name of them all and has no box."""
    for part, count in (("train", 10), ("valid", 4), ("test", 3)):
        held = content(count)
        held["categories"] = [
            {"id": 0, "name": "tableware", "supercategory": "none"},
            *({"id": row["id"], "name": row["name"], "supercategory": "tableware"} for row in held["categories"]),
        ]
        write(tmp_path / part, held, "_annotations.coco.json", images=".")
    task = resolve_task(tmp_path)
    assert task.classes == ("plate", "cup")
    assert [task.count(part) for part in ("train", "val", "test")] == [10, 4, 3]
    _, targets = task.batch("test", np.arange(3), (30, 40))
    assert [labels.tolist() for _, labels in targets] == [[1, 0], [1], [1, 0]]
    assert targets[1][0].tolist() == [[2, 3, 12, 23]]


def test_a_root_category_called_as_its_only_class(folder):
    held = content()
    held["categories"] = [{"id": 0, "name": "cup", "supercategory": "none"}, {"id": 7, "name": "cup"}]
    held["annotations"] = [row for row in held["annotations"] if row["category_id"] == 7]
    assert resolve_task(write(folder, held)).classes == ("cup",)


def test_a_category_0_with_boxes_is_a_class_and_one_without_is_told_where_it_is_no_root(folder):
    held = content()
    held["categories"][1]["id"] = 0
    for row in held["annotations"]:
        row["category_id"] = {3: 0, 7: 7}[row["category_id"]]
    assert resolve_task(write(folder, held)).classes == ("plate", "cup")
    held["categories"].append({"id": 1, "name": "fork", "supercategory": "thing"})
    held["categories"][1]["supercategory"] = "thing"
    with pytest.raises(InputError, match="no picture to learn from has a box of the category 'fork'"):
        resolve_task(write(folder, held))


@pytest.mark.parametrize("places", ["{part}2017", "images/{part}2017", "images/{part}", "{part}"])
def test_cocos_own_folders(tmp_path, places):
    for part, count in (("train", 10), ("val", 4)):
        write(tmp_path / places.format(part=part), content(count), images=".")
        (tmp_path / places.format(part=part) / "annotations.json").unlink()
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content(count)))
        (tmp_path / "annotations" / f"captions_{part}2017.json").write_text("{}")
        (tmp_path / "annotations" / f"._instances_{part}2017.json").write_bytes(b"\0\5")
    task = resolve_task(tmp_path)
    assert [task.count(part) for part in ("train", "val", "test")] == [10, 4, 0]
    assert {row.picture.path.parent.name for row in task.source.files["val"]} == {
        places.format(part="val").split("/")[-1]
    }


@pytest.mark.parametrize("name", ["instances_default.json", "instances_train2017.json", "train.json"])
def test_one_file_in_annotations_and_its_pictures_in_images(tmp_path, name):
    write(tmp_path, content())
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations.json").rename(tmp_path / "annotations" / name)
    task = resolve_task(tmp_path)
    assert [task.count(part) for part in ("train", "val")] == [8, 2]


def test_names_that_are_not_known_are_told(tmp_path):
    write(tmp_path, content())
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations.json").rename(tmp_path / "annotations" / "boxes.json")
    with pytest.raises(InputError, match=r"annotations has no file of boxes that is known by its name; call it"):
        resolve_task(tmp_path)
    (tmp_path / "annotations" / "boxes.json").rename(tmp_path / "annotations" / "instances_val.json")
    with pytest.raises(InputError, match=r"instances_val.json is the only annotation file, and none is to learn from"):
        resolve_task(tmp_path)


def test_a_byte_order_mark_and_a_name_of_another_tool(folder):
    (folder / "annotations.json").write_text(json.dumps(content()), encoding="utf-8-sig")
    assert resolve_task(folder).count("train") == 8
    (folder / "annotations.json").rename(folder / "labels.json")
    with pytest.raises(InputError, match=r"labels.json: a file of boxes is called annotations.json or instances_train"):
        resolve_task(folder)


def test_windows_paths_and_false_crowds(folder):
    held = content()
    held["images"][0]["file_name"] = "images\\0.png"
    held["annotations"][0]["iscrowd"] = True
    held["annotations"][1]["iscrowd"] = False
    held["annotations"][2]["iscrowd"] = None
    _, targets = resolve_task(write(folder, held)).batch("train", np.arange(3), (30, 40))
    assert [len(labels) for _, labels in targets] == [1, 1, 2]


def test_a_test_part_without_boxes_is_left_out(tmp_path):
    for part in ("train", "val"):
        write(tmp_path / part, content())
    write(tmp_path / "test", content())
    (tmp_path / "test" / "annotations.json").unlink()
    with pytest.warns(UserWarning, match=r"test has no annotations.json, so its pictures are left out"):
        assert resolve_task(tmp_path).count("test") == 0


def test_too_few(folder):
    with pytest.raises(
        InputError, match=r"kitchen: 4 pictures; at least 5 are needed, .*; add some, or name the parts"
    ):
        resolve_task(write(folder, content(4)))


def test_rare_categories_are_learned_and_judged(folder):
    """Plates in pictures 0 and 1 alone, both of which every fifth would leave to learn from."""
    held = content()
    held["annotations"] = [row for row in held["annotations"] if row["category_id"] == 7 or row["image_id"] == 0]
    with pytest.warns(UserWarning, match=r"no picture for validation shows the class 'plate', so no score judges it"):
        task = resolve_task(write(folder, held))
    held["annotations"].append({"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5]})
    task = resolve_task(write(folder, held))
    assert (task.count("train"), task.count("val")) == (7, 3)
    for part in ("train", "val"):
        assert {int(v) for _, labels in task.batch(part, np.arange(3), (8, 8))[1] for v in labels} == {0, 1}


# ---- pictures that EXIF turns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", ["upright", "stored", "none"])
def test_boxes_lie_on_turned_pictures_as_on_upright_ones(tmp_path, orientation, frame):
    """A bright rectangle is where its box is, whether the file's width and height are those of the upright picture or
    of the stored one; without them, and where they are the same, boxes are of the upright one.
    """
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[4:14, 6:30] = 255
    tags = Image.Exif()
    tags[0x0112] = orientation
    held = content()
    write(tmp_path, held)
    for i in range(10):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png", exif=tags)
    with Image.open(tmp_path / "images" / "0.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))[..., 0]
    as_stored = frame == "stored" and orientation >= 5
    rows, columns = np.nonzero(pixels[..., 0] if as_stored else upright)
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    height, width = (30, 40) if frame == "stored" else upright.shape
    for row in held["images"]:
        row |= {"width": width, "height": height} if frame != "none" else {"width": None}
    for row in held["annotations"]:
        row["bbox"] = [int(side) for side in box]
    task = resolve_task(write_json(tmp_path, held))
    images, targets = task.batch("train", np.arange(1), upright.shape)
    left, top, right, bottom = (int(side) for side in targets[0][0][0])
    inside = images[0, 0, top:bottom, left:right]
    assert (inside == 255).all() and inside.numel() == 10 * 24


def write_json(folder, held):
    (folder / "annotations.json").write_text(json.dumps(held))
    return folder
