"""Sessions: open a model, change it step by step, look, verify, save, share."""

from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError
from ..hardware import Target, resolve
from ..search.storage import open_store
from ..state import Delta, Head, Verification, WidthRules, open_base
from ..training import HEADS, Task, resolve_task
from . import files
from .searched import SESSION, TUNED, searched_of
from .session import Session
from .study import Study, study_of

__all__ = ["Delta", "Session", "Study", "Verification", "attach", "load", "open"]


def open(
    model: str | nn.Module,
    target: str | Target = "ethos-u65-512",
    input_size: tuple[int, int, int] | None = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    example_inputs: Any = None,
    task: str | Path | Task | None = None,
    width_rules: WidthRules | None = None,
) -> Session:
    """Open a timm model by name, or any module, on a target.

    model: a timm name ("mobilenetv2_100"; created with the same initial weights each time), or a module, which
    is copied: weights that it computes from other parameters become parameters, half precision becomes float32.
    input_size: (channels, height, width), batch is 1; the model's own where not given.
    pretrained: ImageNet weights by timm's name, from the hub's cache, an installed weight package (extra `weights`,
    `wb.weights()` lists them) or the hub, in this order; with a tag ("mobilenetv2_100.ra_in1k") the hub's of that tag.
    checkpoint: a safetensors file that fits the model, of any number of classes, or of the plain network under a
    task's head. Where the head does not fit, it starts anew, the same each time, and all else is carried;
    `session.weights_source` says which file it was and what was left out of it (without task= an InputWarning, too).
    example_inputs: the arguments of a module that does not read one image, in a tuple or by name; of a batch the
    first is taken.
    task: gives a timm model the head that the task needs ("digits", "rooms/presence", "rooms/detection",
    "rooms/segmentation", the path of a folder, a `Task`): one output per class, a map of boxes (`training.Detector`),
    or a map of classes (`training.Segmenter`).
    width_rules: class -> function of a `BlockWidths` that gives the attributes of that class's modules which hold
    widths, for classes of your own whose code slices, splits or groups by numbers; without one, a step that changes
    those widths is refused.

    Raises UnknownName (model, target), InputError (sizes, arguments), FileFormatError (weights), TraceError
    where torch.export cannot follow the module, WorkbenchError where pretrained weights cannot be fetched.

    >>> open("mobilenetv2_050", input_size=(3, 96, 96)).graph.macs > 0
    True
    """
    on = resolve(target)  # first: it is the cheapest of the answers
    head = None
    data = None if task is None else resolve_task(task)
    if data is not None:
        head = Head(len(data.classes), data.head, HEADS.get(data.head))
        if not isinstance(model, str):
            raise InputError("task= makes the head of a timm model; a module of your own brings its head")
    base = open_base(
        model,
        input_size,
        pretrained=pretrained,
        checkpoint=checkpoint,
        example_inputs=example_inputs,
        head=head,
        width_rules=width_rules,
    )
    return Session(base, on, task=data)


def load(path: str | Path, model: nn.Module | None = None, width_rules: WidthRules | None = None) -> Session:
    """Read a session file.

    model: the module, where the session was opened on one of your own; its graph must be the one saved. width_rules:
    as for `open`; rules are code, which no file holds.
    Raises FileFormatError for a damaged file, InputError where `model` is missing or another one.
    """
    state = files.load(path, model, width_rules)
    return Session(state.base, state.target, state.changes, state.annotations, noted_of=state.noted_of)


def attach(
    storage: str | Path, name: str | None = None, model: nn.Module | None = None
) -> Study[Session]:
    """The study in a storage, whether its search is under way, has ended, or was cut off.

    storage: the SQLite file (.db), or the URL of any Optuna storage. name: of the study, where the storage holds
    several. model: the module, where the session was opened on one of your own.
    `study.status` says where the search stands; `study.resume()` goes on with one that nothing drives. Raises
    InputError where there is no such study, FileFormatError where its files are missing or damaged.
    """
    store = open_store(storage, name)
    tuned = store.folder / TUNED
    path = tuned if tuned.is_file() else store.folder / SESSION
    return study_of(searched_of(store, load(path, model)))
