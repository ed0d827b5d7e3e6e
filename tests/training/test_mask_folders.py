"""Folders with masks: read as they are painted, and told by name where they cannot be."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from workbench.errors import InputError
from workbench.training import Segmentation, resolve_task


def paint(folder, count=10, first=0):
    """Pictures of 40 x 30 pixels, dark on the left (class 0), light on the right (1), the lowest row not asked for."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        mask = np.zeros((30, 40), np.uint8)
        mask[:, 10 + i :] = 1
        Image.fromarray(np.stack([200 * mask + 20] * 3, -1)).save(folder / "images" / f"{i}.jpg")
        mask[-1] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return paint(tmp_path / "halves")


def test_masks_are_those_of_the_files(folder):
    task = resolve_task(folder)
    assert isinstance(task, Segmentation) and task.classes == ("0", "1")
    assert (task.count("train"), task.count("val")) == (8, 2)
    images, masks = task.batch("train", np.array([3]), (60, 80))
    assert masks.shape == (1, 60, 80) and masks.dtype == torch.int64
    assert set(masks[0, :58, :26].unique().tolist()) == {0} and set(masks[0, :58, 26:].unique().tolist()) == {1}
    assert (masks[0, 58:] == 255).all()
    asked = masks[0] != 255
    assert (((images[0].float().mean(0) > 120) == (masks[0] == 1)) | ~asked).float().mean() > 0.97
    assert resolve_task(folder).digest == task.digest
    (folder / "classes.txt").write_text("dark\nlight\n")
    named = resolve_task(folder)
    assert named.classes == ("dark", "light") and named.digest != task.digest


def test_halves_that_say_what_is_for_validation(tmp_path):
    paint(tmp_path / "data" / "train", 3)
    paint(tmp_path / "data" / "val", 2)
    assert [resolve_task(tmp_path / "data").count(split) for split in ("train", "val")] == [3, 2]


def spoil(folder, row=4, column=5, value=9):
    path = folder / "masks" / "2.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[row, column] = value
    Image.fromarray(mask).save(path)


def test_values_that_are_no_class(folder):
    (folder / "classes.txt").write_text("dark\nlight\n")
    spoil(folder)
    with pytest.raises(InputError, match=r"masks/2.png holds the value 9, and the classes are 0 to 1 .* nearest is 1"):
        resolve_task(folder)
    (folder / "classes.txt").unlink()  # then the masks say how many classes there are, and leave out 2 to 8
    with pytest.raises(InputError, match=r"no mask to learn from has a pixel of the class '2'"):
        resolve_task(folder)


def test_classes_nobody_marked(folder):
    (folder / "classes.txt").write_text("dark\nlight\ngrey\n")
    with pytest.raises(InputError, match=r"no mask to learn from has a pixel of the class 'grey' \(number 2\)"):
        resolve_task(folder)
    (folder / "classes.txt").write_text("dark\ndark\n")
    with pytest.raises(InputError, match=r"classes.txt names 2 classes; it must name 2 to 255, each once"):
        resolve_task(folder)


def test_files_that_do_not_belong_together(folder):
    mask = folder / "masks" / "4.png"
    mask.rename(folder / "masks" / "other.png")
    with pytest.raises(InputError, match=r"images/4.jpg has no mask; masks/4.png is needed"):
        resolve_task(folder)
    Image.new("L", (40, 31)).save(mask)
    with pytest.raises(InputError, match=r"masks/4.png is 40 x 31 pixels, where 4.jpg is 40 x 30: make them equal"):
        resolve_task(folder)
    Image.new("RGB", (40, 30)).save(mask)
    with pytest.raises(
        InputError, match=r"masks/4.png is a picture of kind RGB; a mask has one class number per pixel"
    ):
        resolve_task(folder)
    mask.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"masks/4.png is no whole picture"):
        resolve_task(folder)
    (folder / "masks" / "other.png").rename(mask)
    picture = folder / "images" / "5.jpg"
    picture.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(InputError, match=r"images/5.jpg is no whole picture"):
        resolve_task(folder)


def test_too_few(tmp_path):
    with pytest.raises(InputError, match=r"few: 4 pictures; at least 5 are needed"):
        resolve_task(paint(tmp_path / "few", 4))
    (tmp_path / "none" / "images").mkdir(parents=True)
    (tmp_path / "none" / "masks").mkdir()
    with pytest.raises(InputError, match=r"none/images has no pictures"):
        resolve_task(tmp_path / "none")
    for i in range(5):
        Image.new("L", (4, 4)).save(tmp_path / "none" / "images" / f"{i}.png")
        Image.new("L", (4, 4), 255).save(tmp_path / "none" / "masks" / f"{i}.png")
    with pytest.raises(InputError, match=r"1 class in all masks; at least two"):
        resolve_task(tmp_path / "none")


def repaint(folder, change, **options):
    """Masks with other numbers."""
    for path in (folder / "masks").glob("*.png"):
        changed = change(np.asarray(Image.open(path)))
        (Image.fromarray(changed) if isinstance(changed, np.ndarray) else changed).save(path, **options)
    return folder


@pytest.mark.parametrize("kind", ["bytes", "palette", "bits", "16 bits"])
def test_binary_masks_are_two_classes(folder, kind):
    def binary(mask):
        things = mask == 1
        if kind == "bits":
            return Image.fromarray(things)
        if kind == "palette":
            painted = Image.fromarray((255 * things).astype(np.uint8), "P")
            painted.putpalette([0, 0, 0] * 255 + [255, 255, 255])
            return painted
        return (255 * things).astype(np.uint16 if kind == "16 bits" else np.uint8)

    repaint(folder, binary)
    task = resolve_task(folder)
    assert task.classes == (("0", "1") if kind == "bits" else ("0", "255"))
    _, masks = task.batch("train", np.array([3]), (60, 80))
    assert set(masks[0, :58, :26].unique().tolist()) == {0} and set(masks[0, :58, 26:].unique().tolist()) == {1}
    (folder / "classes.txt").write_text("road\ncar\n")
    assert resolve_task(folder).classes == ("road", "car")


def test_masks_that_lost_their_numbers_are_refused(folder):
    mask = folder / "masks" / "3.png"
    Image.open(mask).save(folder / "masks" / "3.jpg")
    mask.unlink()
    with pytest.raises(
        InputError, match=r"masks/3.jpg is a JPEG, which changes the numbers it holds; save masks as PNG"
    ):
        resolve_task(folder)


def test_255_asks_nothing_where_there_are_more_classes(folder):
    (folder / "classes.txt").write_text("dark\nlight\n")
    _, masks = resolve_task(folder).batch("train", np.array([0]), (30, 40))
    assert set(masks.unique().tolist()) == {0, 1, 255}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_part_of_a_class(folder, encoding, end):
    (folder / "classes.txt").write_bytes(f"Straße{end}Gehweg{end}".encode(encoding))
    assert resolve_task(folder).classes == ("Straße", "Gehweg")


@pytest.mark.parametrize("outer", ["parts", "kinds"])
def test_parts_by_name(tmp_path, outer):
    for part, count in (("train", 6), ("valid", 3), ("test", 2)):
        paint(tmp_path / part, count)
        if outer == "kinds":
            for kind in ("images", "masks"):
                (tmp_path / kind).mkdir(exist_ok=True)
                (tmp_path / part / kind).rename(tmp_path / kind / part)
            (tmp_path / part).rmdir()
    task = resolve_task(tmp_path)
    assert [task.count(part) for part in ("train", "val", "test")] == [6, 3, 2]
    assert task.batch("test", np.arange(2), (8, 8))[1].shape == (2, 8, 8)


def test_rare_classes_are_learned_and_judged(folder):
    """A third class in two pictures, both of which every fifth would leave to learn from."""
    for name in ("0.png", "1.png"):
        mask = np.asarray(Image.open(folder / "masks" / name)).copy()
        mask[0] = 2
        Image.fromarray(mask).save(folder / "masks" / name)
    task = resolve_task(folder)
    assert (task.count("train"), task.count("val")) == (7, 3)
    assert all(2 in task.batch(part, np.arange(3), (30, 40))[1] for part in ("train", "val"))
    Image.fromarray(np.asarray(Image.open(folder / "masks" / "5.png"))).save(folder / "masks" / "1.png")
    with pytest.warns(UserWarning, match=r"no picture for validation shows the class '2', so no score judges it"):
        resolve_task(folder)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", ["upright", "stored"])
def test_masks_lie_on_turned_pictures_as_on_upright_ones(folder, orientation, frame):
    """A picture that shows its mask, turned by EXIF, and a mask as large as the upright or the stored picture."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    for path in (folder / "images").glob("*.jpg"):
        mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))
        Image.fromarray(200 * (mask == 1).astype(np.uint8)).save(path, exif=tags, quality=95)
        if frame == "upright" or orientation < 5:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
            Image.fromarray((np.asarray(upright) > 100).astype(np.uint8)).save(folder / "masks" / f"{path.stem}.png")
    images, masks = resolve_task(folder).batch("train", np.arange(8), (40, 30) if orientation >= 5 else (30, 40))
    judged = masks != 255
    assert (((images[:, 0] > 100) == (masks == 1)) | ~judged).float().mean() > 0.97
