"""A folder of pictures with a mask for each:

    FOLDER/images/NAME.jpg, FOLDER/masks/NAME.png    every fifth picture is for validation, and of 15 or more as many
                                                     for the test
    FOLDER/{train,val,test}/{images,masks}/          as the folders say (`parts.py`); what they do not name is held out
    FOLDER/{images,masks}/{train,val,test}/          the same
    FOLDER/classes.txt                               optional: names of the classes, one a line

A mask is a PNG as large as its picture, with one class number per pixel (0 the first class), 255 where nothing is
asked. Masks of 0 and 255 alone are binary masks, as most tools write them: 255 is their second class. Every picture
and mask is opened before anything is trained.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .parts import PARTS, Part, check_count, divided, part_folders, tell_unjudged
from .picture_files import PictureFile, checked, mask_values, picture_files, stretched
from .sources import NO_CLASS, nearest

__all__ = ["MaskFolder", "has_masks", "mask_folder"]

_KEPT = 1 << 15  # masks kept at the size networks read
_BINARY = ("0", str(NO_CLASS))  # names of the classes of binary masks, where none are given


@dataclass(frozen=True)
class MaskedPicture:
    """A picture and its mask. classes: the numbers that the mask holds."""

    picture: PictureFile
    mask: Path
    digest: bytes
    classes: frozenset[int]


@dataclass(frozen=True)
class MaskFolder:
    """Pictures in files with a mask for each. binary: the masks hold 0 and 255, which are the classes 0 and 1.
    held_out: the parts that the folders do not name.
    """

    classes: tuple[str, ...]
    files: Mapping[Part, tuple[MaskedPicture, ...]]
    digest: str
    binary: bool = False
    mirrors: bool = True
    held_out: frozenset[Part] = frozenset()

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, part: Part) -> int:
        return len(self.files.get(part, ()))

    def masks(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        masks = torch.stack([_sized(self.files[part][i], tuple(size)) for i in rows])
        return (masks == NO_CLASS).to(torch.uint8) if self.binary else masks

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        paths = [self.files[part][i].picture.path for i in rows]
        return torch.from_numpy(np.stack([stretched(path, tuple(size)) for path in paths]).transpose(0, 3, 1, 2))


@lru_cache(maxsize=_KEPT)
def _sized(row: MaskedPicture, size: tuple[int, int]) -> torch.Tensor:
    return nearest(torch.from_numpy(mask_values(row.mask, row.picture).astype(np.uint8))[None], size)[0]


def has_masks(folder: Path) -> bool:
    """Whether the folder, or what it has to learn from, is laid out like this."""
    return _has_both(folder) or (folder.is_dir() and any(map(_has_both, part_folders(folder).values())))


def _has_both(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def mask_folder(folder: Path, mirrors: bool = True) -> MaskFolder:
    """Read the folder.

    Raises InputError naming the first file that cannot be used, and why; for a class that no mask to learn from shows;
    for fewer than five pictures without parts. Warns of classes that no mask for validation shows.
    """
    names = _names(folder)
    places = _places(folder)
    parts = {part: tuple(_row(*pair) for pair in _pairs(*place)) for part, place in places.items()}
    shown = frozenset[int]().union(*(row.classes for rows in parts.values() for row in rows))
    # where 255 asked nothing, a single class would be left, which nobody learns
    binary = shown == {0, NO_CLASS} and len(names) in (0, 2)
    _check_values(parts, binary, len(names))
    if "val" not in parts:
        check_count(folder, len(parts["train"]))
    shows = [row.classes - (frozenset() if binary else {NO_CLASS}) for row in parts["train"]]
    learned = parts["train"]
    for part, numbers in divided(shows, places).items():
        parts[part] = tuple(learned[number] for number in numbers)
    if not names:
        names = _BINARY if binary else tuple(map(str, range(max(shown - {NO_CLASS}, default=0) + 1)))
    if len(names) < 2:
        raise InputError(
            f"{folder}: {len(names)} class in all masks; at least two are needed, such as 0 for what is around things"
        )
    tell_unjudged(folder, _unjudged(folder, names, parts, binary))
    files: dict[Part, tuple[MaskedPicture, ...]] = {part: parts[part] for part in PARTS if parts.get(part)}
    return MaskFolder(names, files, _digest(files, names), binary, mirrors, frozenset(files.keys() - places.keys()))


def _digest(files: Mapping[Part, tuple[MaskedPicture, ...]], names: tuple[str, ...]) -> str:
    digest = sha256()
    for part, rows in sorted(files.items()):
        for row in rows:
            digest.update(f"{part} {row.picture.path.name}".encode() + row.picture.digest + row.digest)
    digest.update(repr(names).encode())
    return digest.hexdigest()[:16]


def _names(folder: Path) -> tuple[str, ...]:
    """The classes as the folder names them; none where it does not."""
    file = folder / "classes.txt"
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; it must name one class a line") from None
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) != len(names) or not 2 <= len(names) <= NO_CLASS:
        raise InputError(f"{file} names {len(names)} classes; it must name 2 to {NO_CLASS}, each once")
    return names


def _places(folder: Path) -> dict[Part, tuple[Path, Path]]:
    """The folders of pictures and of masks of each part; of train alone where no parts are named."""
    if not _has_both(folder):
        return {part: (inner / "images", inner / "masks") for part, inner in part_folders(folder).items()}
    images, masks = part_folders(folder / "images"), part_folders(folder / "masks")
    if not images and not masks:
        return {"train": (folder / "images", folder / "masks")}
    if images.keys() != masks.keys():
        part = sorted(images.keys() ^ masks.keys())[0]
        raise InputError(f"{folder}: the part {part} is in only one of images and masks; give both the same parts")
    return {part: (images[part], masks[part]) for part in images}


def _pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Each picture with its mask, by their names."""
    for place in (images, masks):
        if not place.is_dir():
            raise InputError(f"{place.parent} must hold the folders images and masks")
    pictures = picture_files(images)
    if not pictures:
        raise InputError(f"{images} has no pictures; at least one is needed")
    of_name = {path.stem: path for path in picture_files(masks)}
    times = Counter(path.stem for path in pictures)
    for picture in pictures:
        if picture.stem not in of_name:
            raise InputError(f"{picture} has no mask; {masks.name}/{picture.stem}.png is needed")
        if times[picture.stem] > 1:
            raise InputError(f"{images}: several pictures are called {picture.stem!r}; one mask goes with one")
    return [(picture, of_name[picture.stem]) for picture in pictures]


def _row(picture: Path, mask: Path) -> MaskedPicture:
    if mask.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{mask} is a JPEG, which changes the numbers it holds; save masks as PNG, in kind L")
    file = checked(picture)
    values = np.unique(mask_values(mask, file)).tolist()
    return MaskedPicture(file, mask, checked(mask).digest, frozenset(values))


def _check_values(parts: Mapping[Part, tuple[MaskedPicture, ...]], binary: bool, names: int) -> None:
    """Raise InputError for a mask with a number that is no class."""
    classes = names or NO_CLASS
    for row in (row for rows in parts.values() for row in rows):
        wrong = next((value for value in sorted(row.classes - {NO_CLASS}) if not 0 <= value < classes), None)
        if wrong is not None and not binary:
            raise InputError(
                f"{row.mask} holds the value {wrong}, and the classes are 0 to {classes - 1} ({NO_CLASS}: nothing is "
                f"asked); the nearest is {min(max(wrong, 0), classes - 1)}"
            )


def _unjudged(
    folder: Path, names: tuple[str, ...], parts: Mapping[Part, tuple[MaskedPicture, ...]], binary: bool
) -> list[str]:
    """The classes that no mask for validation shows. Raises InputError for one that no mask to learn from shows."""

    def shown(part: Part) -> set[int]:
        values = set[int]().union(*(row.classes for row in parts[part]))
        return {int(value == NO_CLASS) for value in values} if binary else values

    learned, judged = shown("train"), shown("val")
    for label, name in enumerate(names):
        if label not in learned:
            raise InputError(
                f"{folder}: no mask to learn from has a pixel of the class {name!r} (number {label}); "
                f"mark some, or number the classes from 0 without it"
            )
    return [name for label, name in enumerate(names) if label not in judged]
