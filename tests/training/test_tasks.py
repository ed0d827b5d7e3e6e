"""Tasks: what is handed out, and what damaged data is told before anything is learned."""

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.errors import InputError
from workbench.training import prepared, resolve_task
from workbench.training.augmentation import moved
from workbench.training.embedded import Rooms


@pytest.fixture
def folder(tmp_path):
    """Two classes, dark and light, of six pictures each."""
    random = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 200)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(6):
            noise = random.normal(level, 20, (20 + i, 30, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / label / f"{i}.png")
    return tmp_path / "data"


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    task = resolve_task("digits")
    assert task.count("train") + task.count("val") == len(load_digits().target) == 1797
    images, labels = task.batch("val", np.arange(359), (8, 8))
    pairs = zip(load_digits().images, load_digits().target, strict=True)
    known = {one.round().astype(int).tobytes(): label for one, label in pairs}
    back = (images[:, 0].double() * 16 / 255).round().int().numpy()
    assert [known[one.astype(int).tobytes()] for one in back] == labels.tolist()


def test_rooms_are_drawn_once_and_shared_by_their_questions(monkeypatch):
    drawn = []
    from workbench.training import embedded

    monkeypatch.setattr(embedded, "room", lambda *a: drawn.append(a) or embedded.Room(*_room(a[2])))
    rooms = Rooms(train=3, val=2, size=32)
    assert rooms.pictures("train", np.array([2]), (24, 40)).shape == (1, 3, 24, 40)
    assert rooms.rooms("val")[0].mask.shape == (32, 32)
    assert len(Rooms(train=3, val=2, size=32).rooms("train")) == 3
    assert len(drawn) == 5  # the second asked the file


def _room(size):
    return np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8), np.zeros((1, 4)), np.zeros(1, int)


def test_a_folder_of_pictures(folder):
    task = resolve_task(folder)
    assert task.classes == ("dark", "light")
    assert (task.count("train"), task.count("val")) == (10, 2)
    images, labels = task.batch("train", np.arange(10), (16, 16))
    assert images.shape == (10, 3, 16, 16)
    assert ((images.float().mean((1, 2, 3)) > 128).long() == labels).all()
    assert resolve_task(folder).digest == task.digest
    Image.new("RGB", (20, 20)).save(folder / "dark" / "9.png")
    assert resolve_task(folder).digest != task.digest


def test_folders_that_say_what_is_for_validation(folder):
    for part in ("train", "val"):
        for label in ("dark", "light"):
            (folder / part / label).mkdir(parents=True)
            Image.new("RGB", (20, 20)).save(folder / part / label / "a.png")
    assert (resolve_task(folder).count("train"), resolve_task(folder).count("val")) == (2, 2)
    (folder / "train" / "grey").mkdir()
    with pytest.raises(InputError, match="the class 'grey' is in only one of train and val"):
        resolve_task(folder)


def test_damaged_folders_are_told_by_name(folder, tmp_path):
    broken = folder / "light" / "5.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=r"light/5.png is no whole picture"):
        resolve_task(folder)
    broken.unlink()
    (folder / "none").mkdir()
    with pytest.raises(InputError, match=r"data/none: the class has no pictures"):
        resolve_task(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 class folders; at least two"):
        resolve_task(tmp_path / "empty")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("digit", "unknown task 'digit'; the nearest is 'digits'"),
        ("rooms/presents", "the nearest is 'rooms/presence'"),
        ("no/such/folder", "there is no folder 'no/such/folder'"),
        (3, "not int"),
    ],
)
def test_names_of_no_task(what, message):
    with pytest.raises(InputError, match=message):
        resolve_task(what)


def test_moved_pictures_keep_their_values_and_follow_the_seed():
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).reshape(2, 3, 8, 8)
    one, same, other = (moved(images, 0.25, True, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert set(one[0, 0].flatten().tolist()) <= set(images[0, 0].flatten().tolist())
    assert torch.equal(moved(images, 0.0, False, torch.Generator()), images)


def test_pictures_are_normalised_as_the_model_says():
    class Says(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)}

    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert prepared(images, (3, 2, 2), Says())[0, :, 0, 0].tolist() == [2.0, 1.0, 0.5]
    assert prepared(images, (1, 2, 2), Says()).shape == (1, 1, 2, 2)
