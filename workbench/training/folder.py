"""A folder of pictures, one folder per class:

    FOLDER/CLASS/*.jpg                  every fifth picture of a class is for validation
    FOLDER/{train,val}/CLASS/*.jpg      as the folders say

Every picture is opened once before anything is trained, so that a broken one is told at once and by name.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..errors import InputError
from .sources import Split

__all__ = ["Pictures", "pictures"]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_HELD = 5  # every so many pictures one is for validation
_KEPT = 1 << 15  # decoded pictures kept; 4 GiB of them at 224 x 224


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
        return torch.from_numpy(np.stack([_decoded(files[i][0], tuple(size)) for i in which]).transpose(0, 3, 1, 2))


def pictures(folder: Path, mirrors: bool = True) -> Pictures:
    """Read the folder. Raises InputError for a folder without classes, an empty class, a picture that is none."""
    parted = [folder / "train", folder / "val"]
    if all(part.is_dir() for part in parted):
        names = [_classes(part) for part in parted]
        if names[0] != names[1]:
            other = sorted(set(names[0]) ^ set(names[1]))[0]
            raise InputError(f"{folder}: the class {other!r} is in only one of train and val")
        found = {part.name: _labelled(part, names[0]) for part in parted}
    else:
        every = _labelled(folder, _classes(folder))
        held = [pair for i, pair in enumerate(every) if i % _HELD == _HELD - 1]
        found = {"train": tuple(p for i, p in enumerate(every) if i % _HELD != _HELD - 1), "val": tuple(held)}
        names = [_classes(folder)]
    digest = sha256()
    for split, pairs in sorted(found.items()):
        for path, label in pairs:
            digest.update(f"{split} {label} {path.name}".encode() + _checked(path))
    return Pictures(names[0], found, digest.hexdigest()[:16], mirrors)


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
        files = sorted(one for one in (folder / name).rglob("*") if one.suffix.lower() in SUFFIXES)
        if not files:
            kinds = ", ".join(SUFFIXES)
            raise InputError(f"{folder / name}: the class has no pictures; files ending in {kinds} count")
        pairs += [(one, label) for one in files]
    return tuple(pairs)


def _checked(path: Path) -> bytes:
    """A digest of the file, which must open as a picture."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no whole picture ({str(error).rstrip('.')}); mend or remove it") from None
    return sha256(path.read_bytes()).digest()


@lru_cache(maxsize=_KEPT)
def _decoded(path: Path, size: tuple[int, int]) -> np.ndarray:
    """uint8[height, width, 3]: the shorter side scaled to the size, the middle cut out."""
    height, width = size
    with Image.open(path) as image:
        picture = image.convert("RGB")
    scale = max(height / picture.height, width / picture.width)
    grown = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
    picture = picture.resize(grown, Image.Resampling.BILINEAR)
    left, top = (grown[0] - width) // 2, (grown[1] - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height)))
