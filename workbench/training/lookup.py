"""From what a caller names to the task: an embedded one, a folder in one of three layouts, or the task itself."""

import warnings
from collections import Counter
from pathlib import Path

from ..errors import InputError, unknown
from .class_folders import class_folders
from .coco_folder import coco_folder, has_annotations
from .detection import Detection
from .embedded import Digits, Presence, RoomBoxes, RoomMasks
from .mask_folders import has_masks, mask_folder
from .parts import part_folders
from .picture_files import visible
from .segmentation import Segmentation
from .tasks import Classification, Task

__all__ = ["EMBEDDED", "reference_of", "resolve_task"]

_UNREAD = (".avif", ".dng", ".gif", ".heic", ".heif", ".jp2", ".jxl")

EMBEDDED = ("digits", "rooms/presence", "rooms/detection", "rooms/segmentation")


def resolve_task(task: "str | Path | Task") -> Task:
    """A task from itself, the name of an embedded one, or a folder.

    A folder with one folder per class asks for classes (`class_folders.py`), one with annotations in COCO's format for
    boxes (`coco_folder.py`), one with images/ and masks/ for a class per pixel (`mask_folders.py`); each may have the
    parts train, val and test as folders (`parts.py`).

    >>> resolve_task("digits").count("val")
    359
    """
    if isinstance(task, Task):
        return task
    if task == "digits":
        return Classification("digits", Digits())
    if task == "rooms/presence":
        return Classification("rooms/presence", Presence())
    if task == "rooms/detection":
        return Detection("rooms/detection", RoomBoxes())
    if task == "rooms/segmentation":
        return Segmentation("rooms/segmentation", RoomMasks())
    if isinstance(task, (str, Path)) and Path(task).is_dir():
        return _of_folder(Path(task))
    if isinstance(task, (str, Path)):
        if len(Path(task).parts) > 1 and str(task).split("/")[0] not in ("rooms", "digits"):
            raise InputError(f"there is no folder {str(task)!r}; a task is a folder, or one of {', '.join(EMBEDDED)}")
        raise unknown("task", str(task), EMBEDDED)
    raise InputError(f"a task is a Task, a folder or one of {', '.join(EMBEDDED)}, not {type(task).__name__}")


def reference_of(task: Task) -> str:
    """The name or folder by which any process finds the task; "" where there is none.

    >>> reference_of(resolve_task("digits"))
    'digits'
    """
    if task.folder is not None:
        return str(task.folder)
    return task.name if task.name in EMBEDDED and resolve_task(task.name) == task else ""


def _of_folder(folder: Path) -> Task:
    name = folder.resolve().name
    _tell_unread(folder)
    if has_annotations(folder):
        return Detection(name, coco_folder(folder), folder=folder.resolve())
    if has_masks(folder):
        return Segmentation(name, mask_folder(folder), folder=folder.resolve())
    _check_format(folder)
    return Classification(name, class_folders(folder), folder=folder.resolve())


def _tell_unread(folder: Path) -> None:
    """Warn, in one sentence, of pictures in formats that are not read."""
    counts = Counter(suffix for path in folder.rglob("*") if (suffix := path.suffix.lower()) in _UNREAD)
    if counts:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
        warnings.warn(f"{folder}: pictures that are not read are left out ({kinds}); save them as .png", stacklevel=4)


def _check_format(folder: Path) -> None:
    """Raise InputError where boxes lie in files of a format that is not read, which would be taken for classes."""
    for place in (folder, *part_folders(folder).values()):
        files = [path.name for path in visible(place) if path.suffix == ".json"]
        if files and sum(path.is_dir() for path in visible(place)) < 2:
            raise InputError(f"{place / files[0]}: a file of boxes is called annotations.json or instances_train.json")
        for name, suffix, format_ in (("labels", ".txt", "YOLO's"), ("annotations", ".xml", "Pascal VOC's")):
            inner = next((path for path in visible(place) if path.name.lower() == name and path.is_dir()), None)
            if name == "labels" and not (place / "images").is_dir():
                continue  # a class may have that name
            if inner is not None and next(inner.rglob(f"*{suffix}"), None) is not None:
                raise InputError(f"{inner} holds boxes in {format_} format; export them in COCO's, as annotations.json")
            if inner is not None and name == "annotations" and next(inner.glob("*.json"), None) is not None:
                raise InputError(
                    f"{inner} has no file of boxes that is known by its name; call it annotations.json or "
                    f"instances_train.json"
                )
