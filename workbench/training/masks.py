"""A folder of pictures with a mask for each:

    FOLDER/images/NAME.jpg, FOLDER/masks/NAME.png      every fifth picture is for validation
    FOLDER/{train,val}/{images,masks}/                 as the folders say
    FOLDER/classes.txt                                 optional: names of the classes, one a line

A mask is a PNG as large as its picture, with one class number per pixel (0 the first class), 255 where nothing is
asked. Every picture and mask is opened before anything is trained.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .reading import HELD, checked, found, mask, stretched
from .sources import NO_CLASS, Split, nearest

__all__ = ["Covered", "covered", "has_masks"]

_KEPT = 1 << 15  # masks kept at the size they were asked for

Pair = tuple[Path, Path]  # picture, mask


@dataclass(frozen=True)
class Covered:
    """Pictures in files with a mask for each."""

    classes: tuple[str, ...]
    files: dict[str, tuple[Pair, ...]]
    digest: str
    mirrors: bool = True

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, split: Split) -> int:
        return len(self.files[split])

    def masks(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        return torch.stack([_sized(self.files[split][i][1], tuple(size)) for i in which])

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        files = self.files[split]
        return torch.from_numpy(np.stack([stretched(files[i][0], tuple(size)) for i in which]).transpose(0, 3, 1, 2))


@lru_cache(maxsize=_KEPT)
def _sized(path: Path, size: tuple[int, int]) -> torch.Tensor:
    return nearest(torch.from_numpy(mask(path).astype(np.uint8))[None], size)[0]


def has_masks(folder: Path) -> bool:
    """Whether the folder is laid out like this."""
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def covered(folder: Path, mirrors: bool = True) -> Covered:
    """Read the folder. Raises InputError naming the first file that cannot be used, and why."""
    if has_masks(folder):
        every = _pairs(folder)
        parts = {
            "train": tuple(pair for i, pair in enumerate(every) if i % HELD != HELD - 1),
            "val": tuple(pair for i, pair in enumerate(every) if i % HELD == HELD - 1),
        }
        if not parts["val"]:
            raise InputError(f"{folder}: {len(every)} pictures; at least {HELD} are needed, one of them for validation")
    else:
        parts = {part: _pairs(folder / part) for part in ("train", "val")}
    names = _names(folder)
    seen: dict[str, set[int]] = {"train": set(), "val": set()}
    digest = sha256()
    for part, pairs in sorted(parts.items()):
        for picture, there in pairs:
            content, size = checked(picture)
            numbers = mask(there)
            if numbers.shape != size:
                (h, w), (height, width) = numbers.shape, size
                raise InputError(
                    f"{there} is {w} x {h} pixels, where {picture.name} is {width} x {height}: make them equal"
                )
            values = set(np.unique(numbers).tolist()) - {NO_CLASS}
            _classes_only(values, there, len(names) if names else NO_CLASS)
            seen[part] |= values
            digest.update(f"{part} {picture.name}".encode() + content + checked(there)[0])
    if not names:
        names = tuple(map(str, range(max(seen["train"] | seen["val"], default=0) + 1)))
    if len(names) < 2:
        raise InputError(f"{folder}: {len(names)} class in all masks; at least two are needed")
    for label, name in enumerate(names):
        if label not in seen["train"]:
            raise InputError(
                f"{folder}: no mask to learn from has a pixel of the class {name!r} (number {label}); "
                f"mark some, or number the classes from 0 without it"
            )
    digest.update(repr(names).encode())
    return Covered(names, parts, digest.hexdigest()[:16], mirrors)


def _names(folder: Path) -> tuple[str, ...]:
    """The classes as the folder names them; none where it does not."""
    file = folder / "classes.txt"
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; it must name one class a line") from None
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) != len(names) or not 2 <= len(names) <= NO_CLASS:
        raise InputError(f"{file} names {len(names)} classes; it must name 2 to {NO_CLASS}, each once")
    return names


def _pairs(folder: Path) -> tuple[Pair, ...]:
    if not has_masks(folder):
        raise InputError(f"{folder} must hold the folders images and masks")
    masks = {one.stem: one for one in found(folder / "masks")}
    pictures = found(folder / "images")
    if not pictures:
        raise InputError(f"{folder / 'images'} has no pictures; at least one is needed")
    times = Counter(one.stem for one in pictures)
    for picture in pictures:
        if picture.stem not in masks:
            raise InputError(f"{picture} has no mask; masks/{picture.stem}.png is needed")
        if times[picture.stem] > 1:
            raise InputError(
                f"{folder / 'images'}: several pictures are called {picture.stem!r}; one mask goes with one"
            )
    return tuple((picture, masks[picture.stem]) for picture in pictures)


def _classes_only(values: set[int], path: Path, classes: int) -> None:
    wrong = next((value for value in sorted(values) if not 0 <= value < classes), None)
    if wrong is not None:
        raise InputError(
            f"{path} holds the value {wrong}, and the classes are 0 to {classes - 1} ({NO_CLASS}: nothing is asked); "
            f"the nearest is {min(max(wrong, 0), classes - 1)}"
        )
