"""The block library of a session: of its network before the steps taken since weights were learned."""

from pathlib import Path

import pandas as pd

from ..errors import InputError
from ..progress import shown
from ..space import catalogue
from ..state import State
from ..surgery import build_state
from ..surgery.library import BlockEntry, BlockLibrary, fill
from ..surgery.local_choices import LeftOut, local_choices
from ..training import Task, resolve_task
from .learning import before_edits, images_of

__all__ = ["filled", "library_of"]


def library_of(state: State, task: str | Path | Task, pictures: int, steps: int) -> BlockLibrary:
    """The library that `Session.library` fills, whatever is in it yet: see there for arguments and errors."""
    for name, value, least in (("pictures", pictures, 8), ("distil", steps, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    unedited = before_edits(state)
    return BlockLibrary(build_state(unedited), unedited.graph, images_of(unedited, resolve_task(task), pictures), steps)


def filled(state: State, task: str | Path | Task, pictures: int, steps: int) -> pd.DataFrame:
    """See `Session.library`."""
    library = library_of(state, task, pictures, steps)
    choices, others = local_choices(catalogue(library.graph, state.target), library.graph, state.target)
    with shown("block library") as progress:
        entries = [_row(entry) for entry in fill(library, choices, progress)]
    columns = ["block", "choice", "loss_fitted", "loss_distilled", "seconds", "note"]
    return pd.DataFrame([*entries, *map(_row, others)], columns=columns)


def _row(entry: BlockEntry | LeftOut) -> tuple[str, str, float | None, float | None, float | None, str]:
    if isinstance(entry, LeftOut):
        return entry.block, entry.label, None, None, None, entry.reason
    choice = entry.choice
    return choice.block, choice.label, entry.loss_fitted, entry.loss_distilled, entry.seconds, ""
