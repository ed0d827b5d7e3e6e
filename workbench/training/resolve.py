"""From what a caller names to the task: an embedded one, a folder in one of three layouts, or the task itself."""

from pathlib import Path

from ..errors import InputError, unknown
from .coco import annotated, annotations_of
from .detection import Detection
from .folder import pictures
from .masks import covered, has_masks
from .segmentation import Segmentation
from .sources import Digits, Presence, RoomBoxes, RoomMasks
from .tasks import Classification, Task

__all__ = ["EMBEDDED", "resolve_task"]

EMBEDDED = ("digits", "rooms/presence", "rooms/detection", "rooms/segmentation")


def resolve_task(task: "str | Path | Task") -> Task:
    """A task from itself, the name of an embedded one, or a folder.

    A folder with one folder per class asks for classes (`folder.py`), one with annotations.json or instances*.json for
    boxes (`coco.py`), one with images/ and masks/ for a class per pixel (`masks.py`).

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


def _of_folder(folder: Path) -> Task:
    halves = folder / "train", folder / "val"
    if any(annotations_of(one) for one in (folder, *halves)):
        return Detection(folder.name, annotated(folder))
    if has_masks(folder) or all(has_masks(half) for half in halves):
        return Segmentation(folder.name, covered(folder))
    return Classification(folder.name, pictures(folder))
