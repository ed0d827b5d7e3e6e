"""Where pictures come from: a source hands out pictures by number, and what is known of each.

Pictures are made at the size a network reads, when it reads them. Every source is a frozen value with a digest of what
it holds, so that a training can be found again by what it was trained on.
"""

import io
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from typing import Literal, Protocol

import numpy as np
import torch
from torch import nn

from ..files import home, write_atomic
from .rooms import CLASSES, DRAWN, STUFF, Room, room

__all__ = [
    "NO_CLASS",
    "Boxed",
    "Digits",
    "Labelled",
    "Masked",
    "Presence",
    "RoomBoxes",
    "RoomMasks",
    "Rooms",
    "Split",
    "Things",
    "nearest",
    "resized",
]

Split = Literal["train", "val"]
Things = tuple[np.ndarray, np.ndarray]  # boxes float32[k, 4]: left, top, right, bottom; labels int64[k]
NO_CLASS = 255  # in masks: pixels of which nothing is asked


class _Pictures(Protocol):
    """Pictures by number, and the classes of what is known of them."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def digest(self) -> str:
        """16 hex digits of all pictures and what is known of them."""
        ...

    @property
    def mirrors(self) -> bool:
        """Whether a picture's mirror image shows the same classes."""
        ...

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """uint8[len(which), 3, height, width]."""
        ...


class Labelled(_Pictures, Protocol):
    """Pictures with one label each; an index into `classes`."""

    def labels(self, split: Split) -> np.ndarray:
        """int64[n]."""
        ...


class Boxed(_Pictures, Protocol):
    """Pictures with boxes of things; labels are indices into `classes`."""

    def count(self, split: Split) -> int: ...

    def boxes(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> list[Things]:
        """Of each picture, in pixels of a picture of (height, width)."""
        ...


class Masked(_Pictures, Protocol):
    """Pictures with a class for every pixel; an index into `classes`, or NO_CLASS."""

    def count(self, split: Split) -> int: ...

    def masks(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """uint8[len(which), height, width]."""
        ...


def resized(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8[n, 3, h, w] at another (height, width)."""
    if tuple(pictures.shape[2:]) == tuple(size):
        return pictures
    new = nn.functional.interpolate(pictures.float(), size, mode="bilinear", antialias=True)
    return new.round().clamp(0, 255).to(torch.uint8)


def nearest(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8[n, h, w] at another (height, width); every value is one of those that were there."""
    if tuple(masks.shape[1:]) == tuple(size):
        return masks
    return nn.functional.interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].to(torch.uint8)


@dataclass(frozen=True)
class Digits:
    """scikit-learn's 1797 handwritten digits of 8 x 8 pixels; a fifth of them, drawn once, is for validation."""

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

    def labels(self, split: Split) -> np.ndarray:
        return _digits()[1][_part(split)]

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        grey = torch.from_numpy(_digits()[0][_part(split)][which])
        return resized(grey[:, None].expand(-1, 3, -1, -1), size)


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.images[order] * (255 / 16)).round().astype(np.uint8), data.target[order].astype(np.int64)


def _part(split: Split) -> slice:
    held = len(_digits()[1]) // 5
    return slice(0, held) if split == "val" else slice(held, None)


@dataclass(frozen=True)
class Rooms:
    """Rooms drawn by number, `train` of them to learn from and `val` to judge by; drawn once and kept in a file.

    size: pixels a side they are drawn at; networks that read another size get them resized.
    """

    train: int = 4000
    val: int = 500
    seed: int = 0
    size: int = 96

    @property
    def digest(self) -> str:
        return sha256(f"{DRAWN} {self.train} {self.val} {self.seed} {self.size}".encode()).hexdigest()[:16]

    def count(self, split: Split) -> int:
        return self.train if split == "train" else self.val

    @cached_property
    def _drawn(self) -> dict[Split, list[Room]]:
        return {"train": self._file("train"), "val": self._file("val")}

    def rooms(self, split: Split) -> list[Room]:
        return self._drawn[split]

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        rooms = self.rooms(split)
        images = np.stack([rooms[i].image for i in which]).transpose(0, 3, 1, 2)
        return resized(torch.from_numpy(images), size)

    def _file(self, split: Split) -> list[Room]:
        # validation has numbers of its own, whatever the length of the training part
        first = 0 if split == "train" else 1 << 24
        path = home() / "rooms" / f"{DRAWN}-{self.seed}-{self.size}-{first}-{self.count(split)}.npz"
        if not path.is_file():
            drawn = [room(self.seed, first + i, self.size) for i in range(self.count(split))]
            buffer = io.BytesIO()
            np.savez_compressed(
                buffer,
                images=np.stack([one.image for one in drawn]),
                masks=np.stack([one.mask for one in drawn]),
                boxes=np.concatenate([one.boxes for one in drawn]),
                labels=np.concatenate([one.labels for one in drawn]),
                ends=np.cumsum([len(one.labels) for one in drawn]),
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, buffer.getvalue())
        with np.load(path, allow_pickle=False) as held:
            cuts = held["ends"][:-1]
            parts = held["images"], held["masks"], np.split(held["boxes"], cuts), np.split(held["labels"], cuts)
            return [Room(*one) for one in zip(*parts, strict=True)]


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

    def count(self, split: Split) -> int:
        return self.rooms.count(split)

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        return self.rooms.pictures(split, which, size)


@dataclass(frozen=True)
class Presence(_OfRooms):
    """Rooms with the question whether somebody is there."""

    @property
    def classes(self) -> tuple[str, ...]:
        return ("nobody", CLASSES[0])

    def labels(self, split: Split) -> np.ndarray:
        return np.array([one.somebody for one in self.rooms.rooms(split)], np.int64)


@dataclass(frozen=True)
class RoomBoxes(_OfRooms):
    """Rooms with the question where which things are."""

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def boxes(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> list[Things]:
        scale = np.array([size[1], size[0]] * 2, np.float32) / self.rooms.size
        rooms = self.rooms.rooms(split)
        return [(rooms[i].boxes * scale, rooms[i].labels) for i in which]


@dataclass(frozen=True)
class RoomMasks(_OfRooms):
    """Rooms with the question what every pixel shows; walls and floors are classes, too."""

    @property
    def classes(self) -> tuple[str, ...]:
        return STUFF + CLASSES

    def masks(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        rooms = self.rooms.rooms(split)
        return nearest(torch.from_numpy(np.stack([rooms[i].mask for i in which])), size)
