"""A folder of pictures, one folder per class:

    FOLDER/CLASS/*.jpg                  every fifth picture of a class is for validation
    FOLDER/{train,val}/CLASS/*.jpg      as the folders say

Every picture is opened once before anything is trained, so that a broken one is told at once and by name.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .reading import HELD, SUFFIXES, checked, cropped, found
from .sources import Split

__all__ = ["Pictures", "pictures"]


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures in files. digest: of their names and contents. mirrors: a mirror image has the same label."""

    classes: tuple[str, ...]
    files: dict[str, tuple[tuple[Path, int], ...]]
    digest: str
    mirrors: bool = True

    def __hash__(self) -> int:
        return hash(self.digest)

    def labels(self, split: Split) -> np.ndarray:
        return np.array([label for _, label in self.files[split]], np.int64)

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        files = self.files[split]
        return torch.from_numpy(np.stack([cropped(files[i][0], tuple(size)) for i in which]).transpose(0, 3, 1, 2))


def pictures(folder: Path, mirrors: bool = True) -> Pictures:
    """Read the folder. Raises InputError for a folder without classes, an empty class, a picture that is none."""
    parted = [folder / "train", folder / "val"]
    if all(part.is_dir() for part in parted):
        names = [_classes(part) for part in parted]
        if names[0] != names[1]:
            other = sorted(set(names[0]) ^ set(names[1]))[0]
            raise InputError(f"{folder}: the class {other!r} is in only one of train and val")
        parts = {part.name: _labelled(part, names[0]) for part in parted}
    else:
        every = _labelled(folder, _classes(folder))
        held = [pair for i, pair in enumerate(every) if i % HELD == HELD - 1]
        parts = {"train": tuple(p for i, p in enumerate(every) if i % HELD != HELD - 1), "val": tuple(held)}
        names = [_classes(folder)]
    digest = sha256()
    for split, pairs in sorted(parts.items()):
        for path, label in pairs:
            digest.update(f"{split} {label} {path.name}".encode() + checked(path)[0])
    return Pictures(names[0], parts, digest.hexdigest()[:16], mirrors)


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}; it must hold one folder of pictures per class")
    names = tuple(sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")))
    if len(names) < 2:
        raise InputError(f"{folder}: {len(names)} class folders; at least two are needed, each with its pictures")
    return names


def _labelled(folder: Path, names: tuple[str, ...]) -> tuple[tuple[Path, int], ...]:
    pairs = []
    for label, name in enumerate(names):
        files = found(folder / name)
        if not files:
            kinds = ", ".join(SUFFIXES)
            raise InputError(f"{folder / name}: the class has no pictures; files ending in {kinds} count")
        pairs += [(one, label) for one in files]
    return tuple(pairs)
