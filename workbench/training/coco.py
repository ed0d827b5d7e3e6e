"""A folder of pictures with boxes in COCO's format:

    FOLDER/{annotations,instances*}.json    pictures beside it or in FOLDER/images/; every fifth is for validation
    FOLDER/{train,val}/                     each with its own file and pictures, as the folders say

The file holds `images` (id, file_name), `categories` (id, name) and `annotations` (image_id, category_id, bbox: left,
top, width, height in pixels; crowds are left out). It is only data: every row is checked, and every picture opened,
before anything is trained.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import InputError
from .reading import HELD, checked, stretched
from .sources import Split, Things

__all__ = ["Annotated", "annotated", "annotations_of"]

_ROUNDING = 1.0  # pixels a box may lie outside its picture, as tools round; it is cut


@dataclass(frozen=True)
class Annotated:
    """Pictures in files with boxes: (path, (height, width), boxes in the file's own pixels, labels)."""

    classes: tuple[str, ...]
    files: dict[str, tuple[tuple[Path, tuple[int, int], np.ndarray, np.ndarray], ...]]
    digest: str
    mirrors: bool = True

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, split: Split) -> int:
        return len(self.files[split])

    def boxes(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> list[Things]:
        made = []
        for i in which:
            _, (height, width), boxes, labels = self.files[split][i]
            scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
            made.append((boxes * scale, labels))
        return made

    def pictures(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        files = self.files[split]
        return torch.from_numpy(np.stack([stretched(files[i][0], tuple(size)) for i in which]).transpose(0, 3, 1, 2))


def annotations_of(folder: Path) -> Path | None:
    """The folder's annotation file, None where it has none. Raises InputError where it has several."""
    files = sorted({*folder.glob("annotations.json"), *folder.glob("instances*.json")})
    if len(files) > 1:
        raise InputError(f"{folder} has {len(files)} annotation files; keep one of {', '.join(f.name for f in files)}")
    return files[0] if files else None


def annotated(folder: Path, mirrors: bool = True) -> Annotated:
    """Read the folder. Raises InputError naming the first file and row that cannot be used, and why."""
    named = {part: annotations_of(folder / part) for part in ("train", "val")}
    whole = annotations_of(folder)
    if whole is not None:
        classes, every = _read(whole)
        parts = {
            "train": [row for i, row in enumerate(every) if i % HELD != HELD - 1],
            "val": [row for i, row in enumerate(every) if i % HELD == HELD - 1],
        }
        source = str(whole)
    else:
        read = {}
        for part, file in named.items():
            if file is None:
                raise InputError(f"{folder / part} has no annotations.json, and the other half has one")
            read[part] = _read(file)
        classes, other = read["train"][0], read["val"][0]
        if classes != other:
            raise InputError(
                f"{named['val']}: the categories are {_listed(other)}; those of train are {_listed(classes)}"
            )
        parts = {part: rows for part, (_, rows) in read.items()}
        source = str(named["train"])
    for label, name in enumerate(classes):
        if not any((row[3] == label).any() for row in parts["train"]):
            raise InputError(
                f"{source}: no picture to learn from has a box of the category {name!r}; draw some or remove it"
            )
    if not any(len(row[3]) for row in parts["val"]):
        raise InputError(
            f"{source}: none of the {len(parts['val'])} pictures for validation has a box; at least one is needed"
        )
    digest = sha256(repr(classes).encode())
    for part, rows in sorted(parts.items()):
        for path, _, boxes, labels in rows:
            digest.update(f"{part} {path.name}".encode() + checked(path)[0] + boxes.tobytes() + labels.tobytes())
    return Annotated(classes, {part: tuple(rows) for part, rows in parts.items()}, digest.hexdigest()[:16], mirrors)


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Image(_Row):
    id: int
    file_name: str


class _Category(_Row):
    id: int
    name: str


class _Annotation(_Row):
    id: int | None = None
    image_id: int
    category_id: int
    bbox: list[float]
    iscrowd: int = 0


class _Coco(_Row):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def _read(file: Path) -> tuple[tuple[str, ...], list[tuple[Path, tuple[int, int], np.ndarray, np.ndarray]]]:
    """The names of the categories in the order of their ids, and a row per picture in the order of their names."""
    held = _content(file)
    for what, ids in (("image", [i.id for i in held.images]), ("category", [c.id for c in held.categories])):
        _distinct(ids, f"{file}: {what} id")
    _distinct([c.name for c in held.categories], f"{file}: category name")
    order = sorted(held.categories, key=lambda one: one.id)
    labels = {one.id: label for label, one in enumerate(order)}
    rows: dict[int, tuple[Path, tuple[int, int]]] = {}
    for image in held.images:
        path = _picture(file, image.file_name)
        rows[image.id] = path, checked(path)[1]
    boxes: dict[int, list[list[float]]] = {i: [] for i in rows}
    classes: dict[int, list[int]] = {i: [] for i in rows}
    for number, one in enumerate(held.annotations):
        where = f"{file}: annotation {number if one.id is None else one.id}"
        if one.image_id not in rows:
            raise InputError(f"{where} has image_id {one.image_id}, which no image has; {_near(one.image_id, rows)}")
        if one.category_id not in labels:
            raise InputError(
                f"{where} has category_id {one.category_id}, which no category has; {_near(one.category_id, labels)}"
            )
        if not one.iscrowd:
            boxes[one.image_id].append(_box(one.bbox, where, *rows[one.image_id]))
            classes[one.image_id].append(labels[one.category_id])
    pictures = [(*rows[i], np.array(boxes[i], np.float32).reshape(-1, 4), np.array(classes[i], np.int64)) for i in rows]
    return tuple(one.name for one in order), sorted(pictures, key=lambda row: str(row[0]))


def _content(file: Path) -> _Coco:
    try:
        return _Coco.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join(f"entry {part}" if isinstance(part, int) else str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f", not {first['input']!r:.40}"
        raise InputError(f"{file}: {where or 'the file'}: {first['msg']}{value}") from None
    except (ValueError, RecursionError) as error:  # broken JSON, no UTF-8
        raise InputError(f"{file} is no whole JSON file: {error}") from None


def _box(bbox: Sequence[float], where: str, path: Path, size: tuple[int, int]) -> list[float]:
    """left, top, right, bottom, inside the picture."""
    height, width = size
    if len(bbox) != 4:
        raise InputError(f"{where}: bbox {bbox} has {len(bbox)} numbers; it must have 4: left, top, width, height")
    left, top, w, h = bbox
    if w <= 0 or h <= 0:
        raise InputError(f"{where}: bbox {bbox} has no area; its width and height must be above 0, such as 1")
    cut = [max(0.0, left), max(0.0, top), min(float(width), left + w), min(float(height), top + h)]
    out = max(a - b for a, b in zip((cut[0], cut[1], left + w, top + h), (left, top, cut[2], cut[3]), strict=True))
    if out > _ROUNDING or cut[0] >= cut[2] or cut[1] >= cut[3]:
        inside = cut[0] < cut[2] and cut[1] < cut[3]
        near = [cut[0], cut[1], cut[2] - cut[0], cut[3] - cut[1]] if inside else [0.0, 0.0, float(width), float(height)]
        raise InputError(
            f"{where}: bbox {bbox} lies outside {path.name}, which is {width} x {height} pixels; the nearest is {near}"
        )
    return cut


def _picture(file: Path, name: str) -> Path:
    """A picture the file names, which must lie in its folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{file} names the picture {name!r}; it must lie beside the file or in images/")
    places = [file.parent / name, file.parent / "images" / name]
    there = next((one for one in places if one.is_file()), None)
    if there is None:
        others = [
            one.name for folder in (file.parent, file.parent / "images") if folder.is_dir() for one in folder.iterdir()
        ]
        near = get_close_matches(Path(name).name, [one for one in others if one != file.name], n=1, cutoff=0.0)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise InputError(f"{file} names the picture {name!r}, which is neither beside it nor in images/{hint}")
    return there


def _distinct(values: Sequence[object], what: str) -> None:
    twice = [one for one, times in Counter(values).items() if times > 1]
    if twice:
        raise InputError(f"{what} {twice[0]!r} is given twice; each must be there once")
    if not values:
        raise InputError(f"{what}: there is none; at least one is needed")


def _near(value: int, known: Iterable[int]) -> str:
    return f"the nearest is {min(known, key=lambda one: abs(one - value))}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
