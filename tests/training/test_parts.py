"""Parts: what folders are called, and what is held out where they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workbench.errors import InputError
from workbench.training import resolve_task
from workbench.training.parts import divided, held_out, part_named


def put(folder, *names, count=5):
    """Pictures of a folder for each name, such as train/cat; a picture holds its number."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / name / f"{i}.png")
    return folder


def counts(task, part):
    return np.bincount(task.source.labels(part), minlength=len(task.classes)).tolist()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("Training", "train"), ("train2017", "train"), ("training_set", "train"),
        ("TRAIN", "train"),
        ("val", "val"), ("valid", "val"), ("validation", "val"), ("val-2017", "val"),
        ("test", "test"), ("Testing", "test"), ("test_images", "test"),
        ("trains", None), ("trainer", None), ("values", None), ("2017", None), ("", None), ("testicle", None),
    ],
)  # fmt: skip
def test_names_of_parts(name, part):
    assert part_named(name) == part


@given(st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=5, max_size=60))
def test_every_class_that_two_pictures_show_is_learned_and_judged_where_that_can_be(classes):
    held = held_out(classes)
    assert held == held_out(classes) and held <= set(range(len(classes)))
    shown = [set().union(*(labels for i, labels in enumerate(classes) if (i in held) == inside)) for inside in (0, 1)]
    assert shown[0] >= set().union(*classes)  # what is not learned cannot be judged
    alone = [{min(labels)} if labels else set() for labels in classes]
    held = held_out(alone)
    for label in range(6):
        own = [i for i, labels in enumerate(alone) if label in labels]
        if len(own) > 1:
            assert 0 < sum(i in held for i in own) < len(own)


@pytest.mark.parametrize(
    "names",
    [("train", "val"), ("train", "valid", "test"), ("Training", "Validation", "Testing"), ("train", "validation")],
)
def test_parts_are_no_classes(tmp_path, names):
    task = resolve_task(put(tmp_path, *(f"{name}/{label}" for name in names for label in ("cat", "dog"))))
    assert task.classes == ("cat", "dog")
    assert [task.count(part) for part in ("train", "val", "test")] == [10, 10, 10 * (len(names) == 3)]
    if len(names) == 3:
        images, labels = task.batch("test", np.arange(10), (8, 8))
        assert images.shape == (10, 3, 8, 8) and labels.tolist() == [0] * 5 + [1] * 5
    else:
        with pytest.raises(InputError, match=r"has no test part; a folder test beside train gives it one"):
            task.batch("test", np.arange(1), (8, 8))


@pytest.mark.parametrize("names", [("Training", "Testing"), ("train", "test"), ("train",)])
def test_without_validation_it_is_held_out_from_what_is_learned(tmp_path, names):
    put(tmp_path, *(f"{name}/{label}" for name in names for label in ("cat", "dog")), count=7)
    task = resolve_task(tmp_path)
    assert (counts(task, "train"), counts(task, "val")) == ([6, 6], [1, 1])
    assert task.count("test") == 14 * (len(names) == 2)


def test_other_folders_and_classes_called_like_parts(tmp_path):
    vehicles = put(tmp_path / "vehicles", "train", "car", "bus")
    assert resolve_task(vehicles).classes == ("bus", "car", "train")
    with pytest.raises(InputError, match=r"has train and holdout; call that part val or test"):
        resolve_task(put(tmp_path / "odd", "train/a", "train/b", "holdout/a", "holdout/b"))
    with pytest.raises(InputError, match=r"has val and valid, one part twice|has valid and val, one part twice"):
        resolve_task(put(tmp_path / "twice", "train/a", "train/b", "val/a", "val/b", "valid/a", "valid/b"))
    with pytest.raises(InputError, match=r"has the parts test, val, and none to learn from"):
        resolve_task(put(tmp_path / "none", "test/a", "test/b", "val/a", "val/b"))
    unlike = put(tmp_path / "unlike", "train/a", "train/b", "val/a", "val/b", "test/c")
    with pytest.raises(InputError, match=r"test: the class 'c' is not in train"):
        resolve_task(unlike)


def test_pictures_for_a_test_without_labels_are_left_out(tmp_path):
    folder = put(tmp_path / "contest", "train/a", "train/b", "test")
    with pytest.warns(UserWarning, match=r"contest/test has no class folders, so its pictures have no labels"):
        task = resolve_task(folder)
    assert (task.count("train"), task.count("val"), task.count("test")) == (8, 2, 0)


def test_pictures_that_are_not_read_are_told(tmp_path):
    put(tmp_path / "phone", "a", "b")
    for name in ("a/0.HEIC", "b/0.heic", "b/1.gif"):
        (tmp_path / "phone" / name).write_bytes(b"")
    with pytest.warns(
        UserWarning, match=r"phone: pictures that are not read .* \(1 .gif, 2 .heic\); save them"
    ) as told:
        resolve_task(tmp_path / "phone")
    assert len(told) == 1 and told[0].filename == __file__


def test_a_task_is_called_as_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(put(tmp_path / "garments", "a", "b"))
    assert resolve_task(".").name == "garments"


@pytest.mark.parametrize("count", range(2, 12))
def test_every_class_is_judged_by_a_fifth_and_by_one_at_least(tmp_path, count):
    put(tmp_path, "a", "b", count=count)
    put(tmp_path, "c", count=9)
    task = resolve_task(tmp_path)
    held = max(1, count // 5)
    assert counts(task, "val") == [held, held, 1]
    assert counts(task, "train") == [count - held, count - held, 8]
    assert resolve_task(tmp_path).digest == task.digest


def test_a_test_part_is_held_out_of_classes_that_can_spare_one(tmp_path):
    put(tmp_path, "a", count=20)
    put(tmp_path, "b", count=14)
    task = resolve_task(tmp_path)
    assert [counts(task, part) for part in ("train", "val", "test")] == [[12, 12], [4, 2], [4, 0]]
    assert task.held_out == {"val", "test"} and resolve_task(tmp_path).digest == task.digest
    paths = [path for part in task.source.files.values() for path, _ in part]
    assert len(paths) == len(set(paths)) == 34


def test_what_folders_name_is_not_held_out(tmp_path):
    put(tmp_path / "two", "train/a", "train/b", count=20)
    put(tmp_path / "two", "val/a", "val/b", count=3)
    task = resolve_task(tmp_path / "two")
    assert [counts(task, part) for part in ("train", "val", "test")] == [[16, 16], [3, 3], [4, 4]]
    assert task.held_out == {"test"}
    put(tmp_path / "two", "test/a", "test/b", count=2)
    task = resolve_task(tmp_path / "two")
    assert [counts(task, part) for part in ("train", "val", "test")] == [[20, 20], [3, 3], [2, 2]]
    assert task.held_out == frozenset()


@given(st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=5, max_size=60), st.sampled_from(["", "val", "test"]))
def test_parts_share_no_picture_and_leave_every_class_to_learn_from(classes, named):
    parts = divided(classes, ["train", named])
    assert sorted(number for numbers in parts.values() for number in numbers) == list(range(len(classes)))
    assert named not in parts and ("test" in parts) == (named != "test" and len(classes) >= 15)
    shown = set().union(*(classes[number] for number in parts["train"]))
    assert shown == set().union(*classes)


def test_a_class_of_one_picture_is_told(tmp_path):
    put(tmp_path, "a", count=4)
    put(tmp_path, "b", count=1)
    with pytest.warns(UserWarning, match=r"shows the class 'b', so no score judges it; a class needs two") as told:
        task = resolve_task(tmp_path)
    assert len(told) == 1 and told[0].filename == __file__
    assert (counts(task, "train"), counts(task, "val")) == ([3, 1], [1, 0])


def test_a_set_that_cannot_be_judged_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"no class has a second picture.*; add some, or name the parts by the folders"
    ):
        resolve_task(put(tmp_path, "a", "b", count=1))


def test_what_systems_leave_in_folders_is_no_class_and_no_picture(tmp_path):
    put(tmp_path, "a", "b", "__MACOSX/a", ".ipynb_checkpoints")
    for name in ("a/._0.png", "a/.DS_Store", "b/Thumbs.db", "._a", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7" * 9)
    task = resolve_task(tmp_path)
    assert task.classes == ("a", "b") and task.count("train") + task.count("val") == 10


@pytest.mark.parametrize(
    ("folder", "file", "format_"), [("labels", "0.txt", "YOLO's"), ("Annotations", "0.xml", "Pasc")]
)
def test_boxes_in_other_formats_are_not_taken_for_classes(tmp_path, folder, file, format_):
    put(tmp_path, "images", "more")
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(InputError, match=rf"{folder} holds boxes in {format_}.* format; export them in COCO's"):
        resolve_task(tmp_path)
