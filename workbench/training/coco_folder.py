"""A folder of pictures with boxes in COCO's format (`coco.py`):

    FOLDER/FILE                                every fifth picture is for validation, and of 15 or more as many for the
                                               test
    FOLDER/{train,val,test}/FILE               each with its own file and pictures, as the folders say (`parts.py`)
    FOLDER/annotations/instances_train2017.json, ...    a file a part, with pictures in FOLDER/train2017/, ...

FILE is annotations.json, instances*.json or Roboflow's _annotations.coco.json; in a folder annotations/ also a file
that is called after its part. Pictures lie beside the file, in images/, or in a folder called as the file's part is.
What no file is of, val or test, is held out from train (`parts.py`). It is only data: every row is checked, and every
picture opened, before anything is trained.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .coco import AnnotatedPicture, Annotations, read_annotations
from .parts import CALLER, PARTS, Part, check_count, divided, part_folders, part_named, tell_unjudged
from .picture_files import stretched, visible
from .sources import LabelledBoxes

__all__ = ["CocoFolder", "coco_folder", "has_annotations"]

_FILES = ("annotations.json", "instances*.json", "_annotations.coco.json")


@dataclass(frozen=True)
class CocoFolder:
    """Pictures in files with boxes in their own pixels. held_out: the parts that no file is of."""

    classes: tuple[str, ...]
    files: Mapping[Part, tuple[AnnotatedPicture, ...]]
    digest: str
    mirrors: bool = True
    held_out: frozenset[Part] = frozenset()

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, part: Part) -> int:
        return len(self.files.get(part, ()))

    def boxes(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> list[LabelledBoxes]:
        scaled = []
        for i in rows:
            picture, boxes, labels = self.files[part][i]
            height, width = picture.size
            scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
            scaled.append((boxes * scale, labels))
        return scaled

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        paths = [self.files[part][i].picture.path for i in rows]
        return torch.from_numpy(np.stack([stretched(path, tuple(size)) for path in paths]).transpose(0, 3, 1, 2))


def has_annotations(folder: Path) -> bool:
    """Whether the folder, or one of its parts, has a file of boxes. Raises InputError where one has several."""
    return bool(_files(folder)) or any(_own_file(inner) for inner in part_folders(folder).values())


def coco_folder(folder: Path, mirrors: bool = True) -> CocoFolder:
    """Read the folder.

    Raises InputError naming the first file and row that cannot be used, and why; for a category that no picture to
    learn from shows; for validation without a box; for fewer than five pictures without parts. Warns of categories
    that no picture for validation shows.
    """
    files = _part_files(folder)
    read = {part: read_annotations(file, _places(file, folder)) for part, file in files.items()}
    categories = _classes(read)
    classes = tuple(categories["train"].values())
    parts = {part: [_labelled(row, categories[part]) for row in read[part].pictures] for part in read}
    source = str(files["train"])
    if "val" not in parts:
        check_count(folder, len(parts["train"]))
    learned = parts["train"]
    for part, numbers in divided([set(row.labels.tolist()) for row in learned], files).items():
        parts[part] = [learned[number] for number in numbers]
    for label, name in enumerate(classes):
        if not any((row.labels == label).any() for row in parts["train"]):
            raise InputError(
                f"{source}: no picture to learn from has a box of the category {name!r}; draw some or remove it"
            )
    judged = {int(label) for row in parts["val"] for label in row.labels}
    if not judged:
        raise InputError(
            f"{files.get('val', source)}: none of the {len(parts['val'])} pictures for validation has a box; "
            f"at least one is needed"
        )
    tell_unjudged(folder, [name for label, name in enumerate(classes) if label not in judged])
    ordered: dict[Part, tuple[AnnotatedPicture, ...]] = {part: tuple(parts[part]) for part in PARTS if part in parts}
    return CocoFolder(classes, ordered, _digest(ordered, classes), mirrors, frozenset(ordered.keys() - files.keys()))


def _digest(files: Mapping[Part, tuple[AnnotatedPicture, ...]], classes: tuple[str, ...]) -> str:
    digest = sha256(repr(classes).encode())
    for part, rows in sorted(files.items()):
        for picture, boxes, labels in rows:
            name = f"{part} {picture.path.name}".encode()
            digest.update(name + picture.digest + boxes.tobytes() + labels.tobytes())
    return digest.hexdigest()[:16]


# ---- which files there are --------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    """The annotation files beside the pictures, else those in a folder annotations/."""
    for place in (folder, folder / "annotations"):
        if place.is_dir():
            files = {path for pattern in _FILES for path in place.glob(pattern)}
            if place != folder:
                files |= {path for path in visible(place) if path.suffix == ".json" and part_named(path.stem)}
            if files:
                return sorted(files)
    return []


def _part_of(file: Path) -> Part | None:
    return part_named(file.stem.removeprefix("instances").lstrip("_-"))


def _own_file(folder: Path) -> Path | None:
    """The one file of a folder; None where it has none."""
    files = _files(folder)
    if len(files) > 1:
        raise InputError(f"{folder} has {len(files)} annotation files; keep one of {', '.join(f.name for f in files)}")
    return files[0] if files else None


def _part_files(folder: Path) -> dict[Part, Path]:
    """The file of each part; of train alone where val is to be held out from it."""
    files = _files(folder)
    by_part = {part: file for file in files if (part := _part_of(file)) is not None}
    if len(files) > 1 and len(by_part) == len(files) and "train" in by_part:
        return by_part
    if files:
        file = _own_file(folder)
        assert file is not None
        if _part_of(file) in ("val", "test"):
            raise InputError(f"{file} is the only annotation file, and none is to learn from; add that of train")
        return {"train": file}
    folders = part_folders(folder)
    own = {part: _own_file(inner) for part, inner in folders.items()}
    for part in ("train", "val"):
        if part in own and own[part] is None:
            other = next(inner.name for name, inner in folders.items() if own[name] is not None)
            raise InputError(f"{folders[part]} has no annotations.json, and {other} has one")
    if "test" in own and own["test"] is None:
        warnings.warn(f"{folders['test']} has no annotations.json, so its pictures are left out", stacklevel=CALLER)
    return {part: file for part, file in own.items() if file is not None}


def _places(file: Path, folder: Path) -> list[Path]:
    """Where the pictures of a file may lie."""
    roots = [file.parent, file.parent / "images"]
    if file.parent == folder / "annotations":
        roots = [folder, folder / "images", *roots]
    part, called = _part_of(file), file.stem.removeprefix("instances").lstrip("_-")
    inner = [path for root in roots if root.is_dir() for path in visible(root) if path.is_dir()]
    same = [path for path in inner if path.name == called]
    alike = [path for path in inner if part is not None and part_named(path.name) == part and path not in same]
    return [*same, *alike, *roots]


# ---- what they say of each other --------------------------------------------------------------------------------


def _classes(read: Mapping[Part, Annotations]) -> dict[Part, dict[int, str]]:
    """Of each part, the categories that are classes: id -> name, in the order of their ids; the same names in all."""
    used = frozenset[int]().union(*(annotations.used for annotations in read.values()))
    classes: dict[Part, dict[int, str]] = {}
    for part, annotations in read.items():
        rows = [row for row in annotations.categories if row[0] != annotations.root or row[0] in used]
        names = [name for _, name in rows]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{annotations.file}: category name {twice!r} is given twice; each must be there once")
        classes[part] = dict(rows)
    first = list(classes["train"].values())
    for part, annotations in read.items():
        names = list(classes[part].values())
        if names != first:
            raise InputError(
                f"{annotations.file}: the categories are {', '.join(names)}; those of train are {', '.join(first)}"
            )
    return classes


def _labelled(row: AnnotatedPicture, classes: Iterable[int]) -> AnnotatedPicture:
    """The same with indices of classes for ids of categories."""
    indices = {number: label for label, number in enumerate(classes)}
    return row._replace(labels=np.array([indices[number] for number in row.labels.tolist()], np.int64))
