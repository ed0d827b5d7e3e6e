"""Real pictures as they lie in their folders (`tests/real_pictures.py`) are read as they lie there."""

import json

import numpy as np
from PIL import Image

from workbench.training import Classification, Detection, resolve_task

from ..real_pictures import CELLS, GARMENTS, PARTS


def test_garments_are_read_as_they_lie(clothing):
    task = resolve_task(clothing)
    assert isinstance(task, Classification) and task.classes == GARMENTS
    for part in PARTS:
        files = {name: len(list((clothing / part / name).glob("*.jpg"))) for name in GARMENTS}
        assert dict(zip(GARMENTS, np.bincount(task.source.labels(part)).tolist(), strict=True)) == files
        assert task.count(part) == sum(files.values())
    last = task.count("test") - 1
    images, labels = task.batch("test", np.array([0, last]), (96, 96))
    assert images.shape == (2, 3, 96, 96) and labels.tolist() == [0, 9]
    path = sorted((clothing / "test" / "dress").glob("*.jpg"))[0]
    whole = np.asarray(Image.open(path).convert("RGB"), float)
    cut = min(whole.shape[:2])
    top, left = ((side - cut) // 2 for side in whole.shape[:2])
    middle = whole[top : top + cut, left : left + cut].mean((0, 1))
    assert np.abs(images[0].float().mean((1, 2)).numpy() - middle).max() < 4


def test_cells_are_read_as_they_lie(cells):
    task = resolve_task(cells)
    assert isinstance(task, Detection) and task.classes == CELLS
    for part in PARTS:
        content = json.loads((cells / part / "annotations.json").read_text())
        assert task.count(part) == len(content["images"])
        by_name = sorted(content["images"], key=lambda row: row["file_name"])
        _, targets = task.batch(part, np.arange(len(by_name)), (120, 160))
        for row, (boxes, labels) in zip(by_name, targets, strict=True):
            own = [a for a in content["annotations"] if a["image_id"] == row["id"]]
            assert labels.tolist() == [a["category_id"] - 1 for a in own]
            scale = np.array([160 / row["width"], 120 / row["height"]] * 2)
            sides = np.array([a["bbox"] for a in own]) * scale
            np.testing.assert_allclose(boxes.numpy()[:, :2], sides[:, :2].clip(0), atol=0.6)
            np.testing.assert_allclose(boxes.numpy()[:, 2:] - boxes.numpy()[:, :2], sides[:, 2:], atol=0.6)


def test_faster_coco_eval_reads_the_same_boxes(cells):
    from faster_coco_eval import COCO

    theirs = COCO(str(cells / "val" / "annotations.json"))
    task = resolve_task(cells)
    size = task.source.files["val"][0].picture.size
    name = task.source.files["val"][0].picture.path.name
    number = next(i for i, row in theirs.imgs.items() if row["file_name"] == name)
    rows = theirs.loadAnns(theirs.getAnnIds(imgIds=[number], iscrowd=False))
    _, ((boxes, _),) = task.batch("val", np.array([0]), size)
    ours = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    np.testing.assert_allclose(ours, [row["bbox"] for row in rows], atol=1.01)  # what lies outside by rounding is cut
