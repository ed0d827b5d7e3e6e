"""A folder of pictures, one folder per class:

    FOLDER/CLASS/*.jpg                     every fifth picture of a class is for validation, one at least of two or
                                           more, and of 15 or more as many for the test
    FOLDER/{train,val,test}/CLASS/*.jpg    as the folders say (`parts.py`); what they do not name is held out from train

Every picture is opened once before anything is trained, so that a broken one is told at once and by name.
"""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .parts import CALLER, PARTS, Part, divided, part_folders, tell_unjudged
from .picture_files import SUFFIXES, checked, cropped, picture_files, visible

__all__ = ["ClassFolders", "class_folders"]

LabelledFile = tuple[Path, int]  # picture, index of its class


@dataclass(frozen=True)
class ClassFolders:
    """Labelled pictures in files. digest: of their names and contents. mirrors: a mirror image has the same label.
    held_out: the parts that the folders do not name.
    """

    classes: tuple[str, ...]
    files: Mapping[Part, tuple[LabelledFile, ...]]
    digest: str
    mirrors: bool = True
    held_out: frozenset[Part] = frozenset()

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, part: Part) -> int:
        return len(self.files.get(part, ()))

    def labels(self, part: Part) -> np.ndarray:
        return np.array([label for _, label in self.files.get(part, ())], np.int64)

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        files = self.files[part]
        return torch.from_numpy(np.stack([cropped(files[i][0], tuple(size)) for i in rows]).transpose(0, 3, 1, 2))


def class_folders(folder: Path, mirrors: bool = True) -> ClassFolders:
    """Read the folder.

    Raises InputError for a folder without classes, an empty class, a part with other classes than train, no picture
    for validation, a file that is no picture. Warns of classes that no picture for validation shows.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}; it must hold one folder of pictures per class")
    folders = part_folders(folder)
    whole = folders.get("train", folder)
    classes = _classes(whole)
    named: dict[Part, tuple[LabelledFile, ...]] = {}
    if "val" in folders:
        _check_same(whole, folders["val"])
        named["val"] = _labelled(folders["val"], classes)
    if "test" in folders and (tested := _test(folders["test"], whole, classes)):
        named["test"] = tested
    parts = _split(_labelled(whole, classes), len(classes), ["train", *named]) | named
    if not parts["val"]:
        raise InputError(
            f"{folder}: no class has a second picture, so none is left for validation; add some, "
            f"or name the parts by the folders train and val"
        )
    judged = {label for _, label in parts["val"]}
    tell_unjudged(folder, [name for label, name in enumerate(classes) if label not in judged])
    files = {part: parts[part] for part in PARTS if parts.get(part)}
    return ClassFolders(classes, files, _digest(files), mirrors, frozenset(files.keys() - named.keys() - {"train"}))


def _digest(files: Mapping[Part, tuple[LabelledFile, ...]]) -> str:
    digest = sha256()
    for part, pairs in sorted(files.items()):
        for path, label in pairs:
            digest.update(f"{part} {label} {path.name}".encode() + checked(path).digest)
    return digest.hexdigest()[:16]


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(inner.name for inner in visible(folder) if inner.is_dir())
    if len(names) < 2:
        raise InputError(f"{folder}: {len(names)} class folders; at least two are needed, each with its pictures")
    return names


def _check_same(train: Path, val: Path) -> None:
    if other := sorted(set(_classes(train)) ^ set(_classes(val))):
        raise InputError(
            f"{train.parent}: the class {other[0]!r} is in only one of {train.name} and {val.name}; "
            f"give both its pictures, or remove it"
        )


def _labelled(folder: Path, classes: tuple[str, ...]) -> tuple[LabelledFile, ...]:
    pairs = []
    for label, name in enumerate(classes):
        files = picture_files(folder / name)
        if not files:
            kinds = ", ".join(SUFFIXES)
            raise InputError(f"{folder / name}: the class has no pictures; files ending in {kinds} count")
        pairs += [(path, label) for path in files]
    return tuple(pairs)


def _split(
    pairs: tuple[LabelledFile, ...], classes: int, named: Collection[Part]
) -> dict[Part, tuple[LabelledFile, ...]]:
    """The pictures to learn from without those held out for the parts that are not named, every class by itself."""
    split: dict[Part, list[LabelledFile]] = {part: [] for part in PARTS if part == "train" or part not in named}
    for label in range(classes):
        own = [pair for pair in pairs if pair[1] == label]
        for part, numbers in divided([{label}] * len(own), named).items():
            split[part] += [own[number] for number in numbers]
    return {part: tuple(rows) for part, rows in split.items()}


def _test(folder: Path, train: Path, classes: tuple[str, ...]) -> tuple[LabelledFile, ...]:
    """The pictures to report on, which need not show every class."""
    names = [inner.name for inner in visible(folder) if inner.is_dir()]
    if not names:
        warnings.warn(
            f"{folder} has no class folders, so its pictures have no labels and are left out", stacklevel=CALLER
        )
        return ()
    if unknown := sorted(set(names) - set(classes)):
        raise InputError(f"{folder}: the class {unknown[0]!r} is not in {train.name}; name it as there, or remove it")
    own = [(label, name) for label, name in enumerate(classes) if name in names]
    return tuple((path, label) for label, name in own for path in picture_files(folder / name))
