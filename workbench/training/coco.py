"""Annotation files in COCO's format: what they hold, checked row by row against the pictures they name.

The file holds `images` (id, file_name, and width and height, where they are told), `categories` (id, name) and
`annotations` (image_id, category_id, bbox: left, top, width, height in pixels; crowds are left out).

Boxes are of the upright picture, as labelling tools show it and OpenCV reads it; where a file's width and height are
those of the picture as it is stored, before EXIF turns it, its boxes are of that one and are turned with it.
(pycocotools and faster-coco-eval never open the pictures, so the format leaves this open.)
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ..errors import InputError
from .picture_files import PictureFile, checked, turned_boxes, visible

__all__ = ["AnnotatedPicture", "Annotations", "read_annotations"]

_ROUNDING = 1.0  # pixels a box may lie outside its picture, as tools round; it is cut

Size = tuple[int, int]


class AnnotatedPicture(NamedTuple):
    """A picture with boxes float32[k, 4] (left, top, right, bottom, in its own upright pixels) and labels int64[k]."""

    picture: PictureFile
    boxes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Annotations:
    """What a file holds.

    categories: (id, name) in the order of their ids. used: ids that annotations name, crowds included. root: the id of
    a category that may be no class but the name of them all, as Roboflow writes one; None without. pictures: in the
    order of their paths; their labels are ids of categories.
    """

    file: Path
    categories: tuple[tuple[int, str], ...]
    used: frozenset[int]
    root: int | None
    pictures: tuple[AnnotatedPicture, ...]


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Image(_Row):
    id: int
    file_name: str
    width: int | None = None
    height: int | None = None


class _Category(_Row):
    id: int
    name: str
    supercategory: str | None = None


def _flag(value: object) -> object:
    return int(bool(value)) if value is None or isinstance(value, bool) else value


class _Annotation(_Row):
    id: int | None = None
    image_id: int
    category_id: int
    bbox: list[float]
    iscrowd: Annotated[int, BeforeValidator(_flag)] = 0  # tools write false and null, too


class _Coco(_Row):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


class _Frame(NamedTuple):
    """The picture that boxes are of: its (height, width), and whether it is the stored one, before EXIF turns it."""

    picture: PictureFile
    size: Size
    stored: bool

    def upright(self, boxes: list[list[float]]) -> np.ndarray:
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        return turned_boxes(rows, self.picture) if self.stored else rows


def read_annotations(file: Path, places: Sequence[Path]) -> Annotations:
    """Read the file. places: folders of the pictures it names. Raises InputError naming the row, and what is wrong."""
    content = _content(file)
    _check_distinct([image.id for image in content.images], f"{file}: image id")
    _check_distinct([category.id for category in content.categories], f"{file}: category id")
    identified = [row.id for row in content.annotations if row.id is not None]
    if identified:
        _check_distinct(identified, f"{file}: annotation id")
    frames = {image.id: _frame(file, image, places) for image in content.images}
    _check_distinct([str(frame.picture.path) for frame in frames.values()], f"{file}: the picture")
    categories = tuple((row.id, row.name) for row in sorted(content.categories, key=lambda row: row.id))
    boxes: dict[int, list[list[float]]] = {image: [] for image in frames}
    labels: dict[int, list[int]] = {image: [] for image in frames}
    for number, row in enumerate(content.annotations):
        where = f"{file}: annotation {number if row.id is None else row.id}"
        _check_named(row, where, frames, [number for number, _ in categories])
        if not row.iscrowd:
            boxes[row.image_id].append(_box(row.bbox, where, frames[row.image_id]))
            labels[row.image_id].append(row.category_id)
    pictures = [
        AnnotatedPicture(frame.picture, frame.upright(boxes[image]), np.array(labels[image], np.int64))
        for image, frame in frames.items()
    ]
    used = frozenset(row.category_id for row in content.annotations)
    ordered = tuple(sorted(pictures, key=lambda row: str(row.picture.path)))
    return Annotations(file, categories, used, _root(content.categories), ordered)


def _root(categories: Sequence[_Category]) -> int | None:
    """Roboflow's category 0, which has no boxes and whose name is the supercategory of the others."""
    zero = next((row for row in categories if row.id == 0), None)
    if zero is None or len(categories) == 1:
        return None
    above = {row.supercategory for row in categories if row is not zero}
    return 0 if zero.supercategory in (None, "", "none") or zero.name in above else None


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


def _frame(file: Path, image: _Image, places: Sequence[Path]) -> _Frame:
    picture = checked(_path(file, image.file_name, places))
    for size, stored in ((picture.size, False), (picture.stored, True)):
        if all(told in (None, side) for told, side in zip((image.height, image.width), size, strict=True)):
            return _Frame(picture, size, stored)
    (height, width), told = picture.size, f"width {image.width} and height {image.height}"
    raise InputError(
        f"{file}: image {image.id} has {told}, and {picture.path.name} is {width} x {height} pixels; "
        f"boxes must be of the picture as it is: scale them, or bring the pictures they were drawn on"
    )


def _path(file: Path, name: str, places: Sequence[Path]) -> Path:
    """A picture the file names, which must lie in one of its folders."""
    relative = PurePosixPath(name.replace("\\", "/"))
    where = f"beside {'it' if file.parent in places else 'its folder'} nor in images/"
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{file} names the picture {name!r}; it must lie beside the file or in images/")
    path = next((place / relative for place in places if (place / relative).is_file()), None)
    if path is None:
        others = [inner.name for place in places if place.is_dir() for inner in visible(place) if inner != file]
        near = get_close_matches(relative.name, others, n=1, cutoff=0.0)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise InputError(f"{file} names the picture {name!r}, which is neither {where}{hint}")
    return path


def _check_named(row: _Annotation, where: str, images: Iterable[int], categories: Iterable[int]) -> None:
    for what, value, ids in (("image", row.image_id, images), ("category", row.category_id, categories)):
        if value not in ids:
            nearest = min(ids, key=lambda other: abs(other - value))
            raise InputError(f"{where} has {what}_id {value}, which no {what} has; the nearest is {nearest}")


def _box(bbox: Sequence[float], where: str, frame: _Frame) -> list[float]:
    """left, top, right, bottom, inside the picture."""
    height, width = frame.size
    if len(bbox) != 4:
        raise InputError(f"{where}: bbox {bbox} has {len(bbox)} numbers; it must have 4: left, top, width, height")
    left, top, w, h = bbox
    if w <= 0 or h <= 0:
        raise InputError(f"{where}: bbox {bbox} has no area; its width and height must be above 0, such as 1")
    cut = [max(0.0, left), max(0.0, top), min(float(width), left + w), min(float(height), top + h)]
    outside = max(a - b for a, b in zip((cut[0], cut[1], left + w, top + h), (left, top, cut[2], cut[3]), strict=True))
    inside = cut[0] < cut[2] and cut[1] < cut[3]
    if outside > _ROUNDING or not inside:
        near = [cut[0], cut[1], cut[2] - cut[0], cut[3] - cut[1]] if inside else [0.0, 0.0, float(width), float(height)]
        raise InputError(
            f"{where}: bbox {bbox} lies outside {frame.picture.path.name}, which is {width} x {height} pixels; "
            f"the nearest is {near}"
        )
    return cut


def _check_distinct(values: Sequence[object], what: str) -> None:
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise InputError(f"{what} {twice[0]!r} is given twice; each must be there once")
    if not values:
        raise InputError(f"{what}: there is none; at least one is needed")
