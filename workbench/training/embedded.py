"""The embedded data, which needs no download: scikit-learn's handwritten digits, and rooms drawn by number."""

import io
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256

import numpy as np
import torch

from ..files import home, write_atomic
from .parts import Part
from .rooms import CLASSES, DRAWN, STUFF, Room, room
from .sources import LabelledBoxes, nearest, resized

__all__ = ["Digits", "Presence", "RoomBoxes", "RoomMasks", "Rooms"]


@dataclass(frozen=True)
class Digits:
    """scikit-learn's 1797 handwritten digits of 8 x 8 pixels; a fifth of them, drawn once, is for validation, and
    another for the test. There are no more: differences of less than about 2 points are not told by a fifth.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    @property
    def digest(self) -> str:
        images, labels = _digits()
        return sha256(images.tobytes() + labels.tobytes()).hexdigest()[:16]

    @property
    def mirrors(self) -> bool:
        return False

    @property
    def held_out(self) -> frozenset[Part]:
        return frozenset({"val", "test"})

    def count(self, part: Part) -> int:
        return len(self.labels(part))

    def labels(self, part: Part) -> np.ndarray:
        return _digits()[1][_slice(part)]

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        grey = torch.from_numpy(_digits()[0][_slice(part)][rows])
        return resized(grey[:, None].expand(-1, 3, -1, -1), size)


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.images[order] * (255 / 16)).round().astype(np.uint8), data.target[order].astype(np.int64)


def _slice(part: Part) -> slice:
    held, total = len(_digits()[1]) // 5, len(_digits()[1])
    ranges: dict[str, slice] = {"train": slice(2 * held, total), "val": slice(held), "test": slice(held, 2 * held)}
    return ranges.get(part, slice(0))


# Parts have numbers of their own, whatever their lengths.
_FIRST: dict[Part, int] = {"train": 0, "val": 1 << 24, "test": 1 << 25}


@dataclass(frozen=True)
class Rooms:
    """Rooms drawn by number, `train` of them to learn from, `val` to choose on and `test` to report on; the rooms of a
    part are drawn when it is first asked for, and kept in a file.

    size: pixels a side they are drawn at; networks that read another size get them resized. The parts to judge by are
    large enough for the paired interval of two networks to tell one point, where they disagree on a twentieth of the
    pictures: 1.96 sqrt(0.05 / 2000) = 0.0098.
    """

    train: int = 4000
    val: int = 2000
    seed: int = 0
    size: int = 96
    test: int = 2000

    @property
    def digest(self) -> str:
        text = f"{DRAWN} {self.train} {self.val} {self.test} {self.seed} {self.size}"
        return sha256(text.encode()).hexdigest()[:16]

    def count(self, part: Part) -> int:
        return {"train": self.train, "val": self.val, "test": self.test}.get(part, 0)

    @cached_property
    def _train(self) -> list[Room]:
        return self._read("train")

    @cached_property
    def _val(self) -> list[Room]:
        return self._read("val")

    @cached_property
    def _test(self) -> list[Room]:
        return self._read("test")

    def rooms(self, part: Part) -> list[Room]:
        if not self.count(part):
            return []
        if part == "train":
            return self._train
        return self._val if part == "val" else self._test

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        rooms = self.rooms(part)
        images = np.stack([rooms[i].image for i in rows]).transpose(0, 3, 1, 2)
        return resized(torch.from_numpy(images), size)

    def _read(self, part: Part) -> list[Room]:
        """The rooms of a part, from their file; drawn first where there is none."""
        first = _FIRST[part]
        path = home() / "rooms" / f"{DRAWN}-{self.seed}-{self.size}-{first}-{self.count(part)}.npz"
        if not path.is_file():
            rooms = [room(self.seed, first + i, self.size) for i in range(self.count(part))]
            buffer = io.BytesIO()
            np.savez_compressed(
                buffer,
                images=np.stack([room.image for room in rooms]),
                masks=np.stack([room.mask for room in rooms]),
                boxes=np.concatenate([room.boxes for room in rooms]),
                labels=np.concatenate([room.labels for room in rooms]),
                ends=np.cumsum([len(room.labels) for room in rooms]),
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, buffer.getvalue())
        with np.load(path, allow_pickle=False) as file:
            cuts = file["ends"][:-1]
            columns = file["images"], file["masks"], np.split(file["boxes"], cuts), np.split(file["labels"], cuts)
            return [Room(*row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class _OfRooms:
    """What every question about rooms shares."""

    rooms: Rooms = Rooms()

    @property
    def digest(self) -> str:
        return self.rooms.digest

    @property
    def mirrors(self) -> bool:
        return True

    @property
    def held_out(self) -> frozenset[Part]:
        return frozenset()

    def count(self, part: Part) -> int:
        return self.rooms.count(part)

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        return self.rooms.pictures(part, rows, size)


@dataclass(frozen=True)
class Presence(_OfRooms):
    """Rooms with the question whether somebody is there."""

    @property
    def classes(self) -> tuple[str, ...]:
        return ("nobody", CLASSES[0])

    def labels(self, part: Part) -> np.ndarray:
        return np.array([room.somebody for room in self.rooms.rooms(part)], np.int64)


@dataclass(frozen=True)
class RoomBoxes(_OfRooms):
    """Rooms with the question where which things are."""

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def boxes(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> list[LabelledBoxes]:
        scale = np.array([size[1], size[0]] * 2, np.float32) / self.rooms.size
        rooms = self.rooms.rooms(part)
        return [(rooms[i].boxes * scale, rooms[i].labels) for i in rows]


@dataclass(frozen=True)
class RoomMasks(_OfRooms):
    """Rooms with the question what every pixel shows; walls and floors are classes, too."""

    @property
    def classes(self) -> tuple[str, ...]:
        return STUFF + CLASSES

    def masks(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        rooms = self.rooms.rooms(part)
        return nearest(torch.from_numpy(np.stack([rooms[i].mask for i in rows])), size)
