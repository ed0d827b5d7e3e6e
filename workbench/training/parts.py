"""The parts of a data set: train is learned from, val is chosen on, test is reported on.

Folders and annotation files name their parts, in any case and with a year behind ("Training", "valid", "test2017").
Where no part for validation is named, every fifth picture to learn from is held out for it, and as many more as it
takes for every class that two pictures show to be in both parts. Where no test part is named, as many are held out for
that, of classes (folders of classes) or sets (all others) of 15 pictures and more: less would report nothing. The rule
looks at the order and the classes alone, so that the same folder has the same parts each time.
"""

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..errors import InputError, unknown
from .picture_files import visible

__all__ = [
    "CALLER",
    "FEWEST",
    "PARTS",
    "Part",
    "check_chosen_on",
    "check_count",
    "check_judged",
    "divided",
    "held_out",
    "part_folders",
    "part_named",
    "tell_unjudged",
]

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

FEWEST = 5  # pictures of a set without parts: every fifth one is held out
_FEWEST_TESTED = 3 * FEWEST  # from which on a fifth is held out for a test, too
CALLER = 5  # frames from a folder's reader to who called `resolve_task`
_NAMES: Mapping[str, Part] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_NAME = re.compile(r"([a-z]+?)(?:[ _-]?(?:set|data|images))?[ _-]?\d*")


def part_named(name: str) -> Part | None:
    """The part that a folder or a file is called after, None where it is none.

    >>> part_named("Training"), part_named("val2017"), part_named("test_set"), part_named("trains")
    ('train', 'val', 'test', None)
    """
    match = _NAME.fullmatch(name.lower())
    return _NAMES.get(match[1]) if match else None


def part_folders(folder: Path) -> dict[Part, Path]:
    """The folders of the parts, in the order of `PARTS`; none where the folder is not laid out by parts.

    It is where train stands beside val or test, or alone. Raises InputError where two folders name one part, and where
    parts are named without one to learn from.
    """
    folders = [inner for inner in visible(folder) if inner.is_dir()]
    parts: dict[Part, Path] = {}
    for inner in folders:
        part = part_named(inner.name)
        if part is not None and part in parts:
            raise InputError(f"{folder} has {parts[part].name} and {inner.name}, one part twice; keep one of them")
        if part is not None:
            parts[part] = inner
    alone = len(parts) == len(folders)
    if "train" not in parts and parts and alone and all(_holds_folders(inner) for inner in folders):
        names = ", ".join(inner.name for inner in folders)
        raise InputError(f"{folder} has the parts {names}, and none to learn from; one must be called train")
    if list(parts) == ["train"] and not alone:
        (other, *more) = (inner for inner in folders if inner != parts["train"])
        if not more and _holds_folders(parts["train"]) and _holds_folders(other):
            raise InputError(f"{folder} has train and {other.name}; call that part val or test")
    if "train" not in parts or (len(parts) == 1 and not (alone and _holds_folders(parts["train"]))):
        return {}
    return {part: parts[part] for part in PARTS if part in parts}


def _holds_folders(folder: Path) -> bool:
    return any(inner.is_dir() for inner in visible(folder))


def check_judged(part: str) -> None:
    """Raise InputError for a part that no score is of."""
    if part not in ("val", "test"):
        raise unknown("part to judge by", part, ("val", "test"))


def check_chosen_on(part: str, chooser: str) -> None:
    """Raise InputError where a choice would look at pictures that are only reported on. chooser: what chooses."""
    if part == "test":
        raise InputError(f"{chooser} chooses, and the test part is reported on, never chosen on; choose by part='val'")


def divided(classes: Sequence[Collection[int]], named: Collection[Part]) -> dict[Part, list[int]]:
    """The pictures to learn from, by number, in what stays to learn from and the parts held out from it.

    classes: what each picture shows. named: the parts that the data names.

    >>> divided([{0}] * 6, ["train"]), divided([{0}] * 16, ["train", "val"])["test"]
    ({'train': [0, 1, 2, 3, 5], 'val': [4]}, [4, 9, 14])
    """
    parts: dict[Part, list[int]] = {"train": list(range(len(classes)))}
    lacking = [part for part in PARTS if part not in named]
    for part in lacking:
        if part == "test" and len(classes) < _FEWEST_TESTED:
            continue
        # a fifth of all is a fourth of what is left after the first
        every = FEWEST - 1 if part == "test" and "val" in lacking else FEWEST
        learned = parts["train"]
        held = held_out([classes[number] for number in learned], every)
        parts["train"] = [number for place, number in enumerate(learned) if place not in held]
        parts[part] = [number for place, number in enumerate(learned) if place in held]
    return parts


def held_out(classes: Sequence[Collection[int]], every: int = FEWEST) -> frozenset[int]:
    """One picture of so many, by number. classes: what each picture shows, in the order of the pictures.

    >>> sorted(held_out([{0}] * 11)), sorted(held_out([{0}, {0, 1}, {1}])), sorted(held_out([{0}]))
    ([4, 9], [1], [])
    """
    held = set(range(every - 1, len(classes), every))
    pictures: dict[int, list[int]] = {}
    for number, labels in enumerate(classes):
        for label in set(labels):
            pictures.setdefault(label, []).append(number)

    def others(label: int, inside: bool) -> int:
        return sum((number in held) == inside for number in pictures[label])

    for label in sorted(pictures, key=lambda label: (len(pictures[label]), label)):
        judged, learned = others(label, True), others(label, False)
        if (judged and learned) or (learned and len(pictures[label]) == 1):
            continue
        inside = not learned  # the part that has all of the class
        # a picture moves where its other classes stay on both sides; a class must be learned, even where they do not
        movable = [
            number
            for number in pictures[label]
            if all(other == label or others(other, inside) > 1 for other in set(classes[number]))
        ]
        for number in (movable or (pictures[label] if inside else []))[-1:]:
            held ^= {number}
    return frozenset(held)


def check_count(folder: Path, pictures: int) -> None:
    """Raise InputError where a set is too small to hold a part of it out."""
    if pictures < FEWEST:
        raise InputError(
            f"{folder}: {pictures} picture{'' if pictures == 1 else 's'}; at least {FEWEST} are needed, one of them "
            f"for validation; add some, or name the parts by the folders train and val"
        )


def tell_unjudged(folder: Path, classes: Sequence[str]) -> None:
    """Warn, in one sentence, of classes that no picture for validation shows."""
    if classes:
        names = ", ".join(map(repr, classes[:5])) + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")
        several = len(classes) > 1
        warnings.warn(
            f"{folder}: no picture for validation shows the class{'es' if several else ''} {names}, so no score judges "
            f"{'them' if several else 'it'}; a class needs two pictures, or some of its own in the folder val",
            stacklevel=CALLER,
        )
