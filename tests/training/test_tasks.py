"""Tasks: what is handed out, and what damaged data is told before anything is learned."""

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.errors import InputError
from workbench.files import home
from workbench.training import EMBEDDED, Classification, Schedule, fit, prepared, resolve_task, score
from workbench.training.augmentation import moved
from workbench.training.embedded import Digits, Rooms

from .networks import small


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
    assert sum(map(task.count, ("train", "val", "test"))) == len(load_digits().target) == 1797
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


def test_networks_of_one_channel_read_pictures_as_pillow_greys_them():
    import timm

    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32) / 255
    module = timm.create_model("test_resnet", in_chans=1).eval()
    images = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    mean, std = (np.mean(module.pretrained_cfg[name]) for name in ("mean", "std"))
    inputs = prepared(images, (1, 9, 7), module)
    np.testing.assert_allclose(inputs[0, 0].numpy(), (grey - mean) / std, atol=0.51 / 255 / std + 1e-5)
    assert score(module, resolve_task("digits"), (1, 32, 32)).pictures == 359
    # a grey picture in three channels is the same to a network as one channel of it, up to the means of the channels
    same = torch.from_numpy(np.asarray(Image.fromarray(pixels).convert("L")).copy())[None, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(prepared(same, (1, 9, 7), module), (same[:, :1] / 255 - mean) / std, check_dtype=False)


def test_more_outputs_than_classes_are_told_and_fewer_refused():
    task = resolve_task("digits")
    with pytest.warns(
        UserWarning, match=r"net has 12 outputs, and digits has 10 classes, so the last 2 are never right"
    ):
        task.check(torch.zeros(2, 12), "net")
    task.check(torch.zeros(2, 10), "net")
    with pytest.raises(InputError, match=r"net has 9 outputs, and digits needs 10, one a class"):
        task.check(torch.zeros(2, 9), "net")


class Unjudged(Digits):
    """Digits without any for validation."""

    def labels(self, part):
        return super().labels(part) if part == "train" else super().labels(part)[:0]


def test_what_cannot_be_judged_is_not_learned():
    task = Classification("unjudged", Unjudged())
    with pytest.raises(InputError, match=r"unjudged has no pictures for validation, so nothing could be judged; add"):
        fit(small(), task, (3, 16, 16))
    with pytest.raises(
        InputError, match=r"unjudged has no pictures for validation, so nothing can be judged; add some"
    ):
        score(small(), task, (3, 16, 16))
    assert not (home() / "training").exists()


def test_small_sets_are_told_the_batch_that_fits(folder):
    with pytest.raises(
        InputError, match=r"batch_size is 64, and data has 10 pictures to learn.* nearest is batch_size=10"
    ):
        fit(small(2), resolve_task(folder), (3, 16, 16))
    assert fit(small(2), resolve_task(folder), (3, 16, 16), Schedule(epochs=1, batch_size=10)).epochs


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_has_three_parts_and_no_others(name):
    task = resolve_task(name)
    assert task.count("val") == task.count("test") >= (359 if name == "digits" else 2000)
    assert not list(home().glob("rooms/*"))  # to count is not to draw
    with pytest.raises(InputError, match=r"unknown part 'valid'; the nearest is 'val'"):
        task.batch("valid", np.arange(1), (16, 16))
