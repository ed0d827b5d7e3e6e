"""The block library of a session: of its network before the steps taken since weights were learned."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from ..background import Background
from ..errors import InputError, SurgeryError
from ..progress import shown
from ..space import catalogue
from ..state import State
from ..surgery import build, build_state
from ..surgery.assembly import assemble, assembled
from ..surgery.counterparts import Edited
from ..surgery.library import BlockEntry, BlockLibrary, fill
from ..surgery.local_choices import LeftOut, divided, local_choices
from ..training import Task, resolve_task
from ..training.scoring import logits
from .learning import before_edits, images_of, size_of

__all__ = ["PICTURES", "STEPS", "built", "filled", "kept", "library_of"]

PICTURES = 768  # of the task, that blocks are fitted to and distilled on
STEPS = 200  # of distillation a block

# Digest of a library -> what fills it in the background.
_FILLING: dict[str, Background] = {}


def library_of(state: State, task: str | Path | Task, pictures: int, steps: int) -> BlockLibrary:
    """The library that `Session.library` fills, whatever is in it yet: see there for arguments and errors."""
    for name, value, least in (("pictures", pictures, 8), ("distil", steps, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    unedited, data = before_edits(state), resolve_task(task)
    model, size = build_state(unedited), size_of(unedited)
    data.check(logits(model, torch.zeros(2, *size)), unedited.model_name)
    return BlockLibrary(model, unedited.graph, images_of(unedited, data, pictures), steps)


def filled(state: State, task: str | Path | Task, pictures: int, steps: int, block: bool = True) -> pd.DataFrame:
    """See `Session.library`."""
    library = library_of(state, task, pictures, steps)
    choices, others = local_choices(catalogue(library.graph, state.target), library.graph, state.target)
    rows: list[BlockEntry | LeftOut] = []
    if block:
        if (filling := _FILLING.pop(library.digest, None)) is not None:
            filling.stop()  # what it made is kept; the rest is made here
        with shown("block library") as progress:
            rows += fill(library, choices, progress)
    else:
        filling = _FILLING.get(library.digest)
        if filling is None:
            _FILLING[library.digest] = Background(fill(library, choices), "block library")
        elif not filling.running:
            _FILLING.pop(library.digest).wait()  # raises what it ended with
        rows += (library.entry(choice) or LeftOut(choice.block, choice.label, "not filled yet") for choice in choices)
    columns = ["block", "choice", "loss_fitted", "loss_distilled", "seconds", "note"]
    return pd.DataFrame([_row(row) for row in (*rows, *others)], columns=columns)


def built(state: State, task: str | Path | Task) -> nn.Module:
    """The edited network with the library's blocks: see `Session.build`."""
    library = library_of(state, task, PICTURES, STEPS)
    choices, graph, further = divided(library.graph, state.plans_since_learned)
    with shown("block library") as progress:
        for entry in fill(library, choices, progress):
            if isinstance(entry, LeftOut):
                raise SurgeryError(entry.reason)
    module = assemble(library, choices, library.images) if choices else library.model
    images = images_of(before_edits(state), resolve_task(task)) if further else None
    base = state.base
    return build(module, graph, further, images, inputs=base.example_inputs, width_rules=base.width_rules)


def kept(before: State, state: State, task: Task, pictures: int, steps: int) -> Edited | None:
    """The state's network with the library's blocks; None where one is not kept, or a step reaches beyond a block.

    before: the state without the steps, whose network the library is of.
    """
    choices, graph, further = divided(before.graph, state.plans_since_learned)
    if further:
        return None
    library = library_of(before, task, pictures, steps)
    if not all(library.entry(choice) for choice in choices):
        return None
    edited = assembled(library, choices, graph)
    edited.module.to(memory_format=torch.channels_last)
    return edited


def _row(entry: BlockEntry | LeftOut) -> tuple[str, str, float | None, float | None, float | None, str]:
    if isinstance(entry, LeftOut):
        return entry.block, entry.label, None, None, None, entry.reason
    choice = entry.choice
    return choice.block, choice.label, entry.loss_fitted, entry.loss_distilled, entry.seconds, ""
