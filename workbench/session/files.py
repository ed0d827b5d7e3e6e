"""Session files: a zip of `session.yaml` and `weights.safetensors`.

    version: 1
    model: {name: mobilenetv2_100, custom: false, weights: initial}     # classes, head: where they were asked for
                                    # source: the file that pretrained weights or a checkpoint's were read from
    input_size: [3, 224, 224]
    target: ethos-u65-512           # or a mapping, for a configuration of one's own
    graph: 0123456789abcdef         # digest of the graph before the first step
    versions: {workbench: ..., torch: ..., timm: ..., compiler: ...}    # the last one is the target's
    changes:                        # one per `apply`; several steps where a recipe was applied
      - steps: [{transform: FuseIBN, blocks: blocks.1.*}]
      - tuned: {weights: tuned-1.safetensors, said: "digits, 5 epochs", epochs: [...]}    # stages: of a recovery
    annotations: [{path: blocks.2.0, text: ...}]

Loading makes the model again, checks it against the file and applies the steps again: plans are not stored,
because they follow from the graph and the target. Nothing is unpickled and no code in the file runs.
"""

import re
import warnings
from collections.abc import Mapping, Set
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ..errors import FileFormatError, InputError, WorkbenchError
from ..files import check_folder, nearest_file, packed, read_yaml, unpacked, write_atomic
from ..hardware import Target, resolve
from ..recipe import Recipe, check, from_step, to_step
from ..state import (
    Applied,
    Base,
    Head,
    Learned,
    State,
    WeightSource,
    WidthRules,
    check_weights,
    create,
    digest_of,
    own_copy,
    prepare,
    read_weights,
)
from ..surgery import build_state
from ..training import HEADS
from ..transforms import Transform

__all__ = ["load", "save"]

_TEXT, _WEIGHTS = "session.yaml", "weights.safetensors"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Source(_Strict):
    """A `WeightSource`. carried: the sha256 of weights.safetensors, which holds what was taken from the file."""

    place: str
    file: str
    sha256: str = Field(pattern="[0-9a-f]{64}")
    left_out: list[str] = []
    anew: list[str] = []
    carried: str = Field(pattern="[0-9a-f]{64}")


class _Model(_Strict):
    name: str
    custom: bool = False
    weights: Literal["initial", "pretrained", "checkpoint", "given"] = "initial"
    classes: int | None = Field(default=None, ge=1)
    head: Literal["classification", "detection", "segmentation"] = "classification"
    source: _Source | None = None


class _Weights(_Strict):
    weights: str
    said: str
    epochs: list[dict[str, int | float]] = []
    stages: list[dict[str, str | int | float]] = []


class _Change(_Strict):
    steps: list[dict[str, Any]] = []
    tuned: _Weights | None = None
    recipe: str = ""
    planned_on: str | dict[str, Any] | None = None


class _Note(_Strict):
    path: str
    text: str
    of: str = Field(default="", pattern="([0-9a-f]{16})?")


class _File(_Strict):
    version: Literal[1]
    model: _Model
    input_size: list[int]
    target: str | dict[str, Any]
    graph: str
    versions: dict[str, str]
    changes: list[_Change] = []
    annotations: list[_Note] = []


def save(state: State, path: Path) -> Path:
    """Write a state, all of it or nothing. The base weights are in it; built weights are made again."""
    from safetensors.torch import save as to_bytes

    if path.suffix != ".wb":
        raise InputError(f"a session is saved as .wb, not as {path.suffix or path.name!r}; try {path.stem}.wb")
    if state.input_size is None:
        raise InputError("a session opened with example_inputs cannot be saved; open it with input_size= to save it")
    check_folder(path)
    members = {_WEIGHTS: to_bytes(_apart(state.base.module.state_dict()))}
    learned = [change for change in state.changes if isinstance(change, Learned)]
    for number, change in enumerate(learned, 1):
        members[_member(number)] = to_bytes(_apart(change.weights))
    text = yaml.safe_dump(
        _describe(state, members[_WEIGHTS]), sort_keys=False, allow_unicode=True, explicit_start=True, explicit_end=True
    )
    return write_atomic(path, packed({_TEXT: text.encode(), **members}))


def _member(number: int) -> str:
    """The file of the weights learned as the number-th, from 1."""
    return f"tuned-{number}.safetensors"


def _apart(tensors: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Copies, because tied weights share memory and the format knows no sharing."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items() if isinstance(v, torch.Tensor)}


def load(path: str | Path, model: nn.Module | None = None, width_rules: WidthRules | None = None) -> State:
    """Read a session file.

    model: the module, where the session was opened on one of your own; its graph must be the one saved. width_rules:
    of its classes.
    No figure is in the file: all are derived anew, and a warning says so where the target's compiler is another
    version.
    Raises FileFormatError for a damaged file, InputError where `model` is missing or another one.
    """
    path = nearest_file(path, "session", (".wb",))
    file, members = _read(path)
    try:
        target = resolve(file.target)
        planned = [target if c.planned_on is None else resolve(c.planned_on) for c in file.changes]
        transforms = [tuple(from_step(step) for step in change.steps) for change in file.changes]
    except WorkbenchError as error:
        raise FileFormatError(f"{path.name}: {error}") from None
    state = State(_base(file, members[_WEIGHTS], path.name, model, width_rules), target)
    for change, steps, planned_on in zip(file.changes, transforms, planned, strict=True):
        if change.tuned is None:
            state = _apply_again(state, change.recipe, steps, planned_on, path.name)
        else:
            state = _learn_again(state, change.tuned, members[change.tuned.weights], path.name)
    if (compiler := file.versions.get("compiler", target.compiler)) != target.compiler:
        warnings.warn(
            f"{path.name} was saved with {compiler}, here is {target.compiler}: its figures are estimated anew and may "
            "differ from those it was saved with",
            stacklevel=3,
        )
    notes = tuple((note.path, note.text) for note in file.annotations)
    return replace(state, target=target, annotations=notes, noted_of=tuple(note.of for note in file.annotations))


def _read(path: Path) -> tuple[_File, Mapping[str, bytes]]:
    """The checked session.yaml and the other members."""
    text, members = unpacked(path, "session file", _TEXT, _wrong)
    content, root = read_yaml(text, f"{path.name}, {_TEXT}")
    file: _File = check(_File, content, root, f"{path.name}, {_TEXT}")
    if len(file.input_size) != 3 or min(file.input_size) < 1:
        raise FileFormatError(
            f"{path.name}: input_size {file.input_size} must be [channels, height, width], above zero"
        )
    needed = {_WEIGHTS, *(change.tuned.weights for change in file.changes if change.tuned)}
    if needed != set(members):
        raise FileFormatError(
            f"{path.name} is no session: it must hold {', '.join(sorted({_TEXT, *needed}))} and nothing else"
        )
    return file, members


def _base(file: _File, weights: bytes, source: str, model: nn.Module | None, width_rules: WidthRules | None) -> Base:
    """The model as it was opened, with its weights, made again or given."""
    name, (channels, height, width) = file.model.name, file.input_size
    size = (channels, height, width)
    kind, classes = file.model.head, file.model.classes
    if file.model.custom and model is None:
        raise InputError(f"{source} is a session on your own module {name}; give it as load(path, model=...)")
    if not file.model.custom and model is not None:
        raise InputError(f"{source} is a session on timm's {name}; load it without model=")
    if not file.model.custom and classes is None and kind != "classification":
        raise FileFormatError(f"{source}: the head for {kind} needs a number of classes, and has none")
    head = None if classes is None else Head(classes, kind, HEADS.get(kind))
    module = create(name, size, head).module if model is None else own_copy(model)
    tensors = read_weights(weights, f"{source}, {_WEIGHTS}")
    check_weights(module, tensors, source, name)
    origin = _source(file.model.source, weights, source)
    module.load_state_dict(tensors)
    base = prepare(
        module, name, file.model.custom, size, file.model.weights, None, head, source=origin, width_rules=width_rules
    )
    if base.graph.digest != file.graph and (file.model.custom or _packages(file) == _versions()):
        raise InputError(
            f"{source} was saved on another graph of {name} (digest {file.graph}, here {base.graph.digest}; "
            f"saved with {_spell(_packages(file))}, here {_spell(_versions())})"
        )
    return base


def _source(origin: _Source | None, weights: bytes, source: str) -> WeightSource | None:
    """Where the base weights come from; FileFormatError where they are not those that were saved."""
    if origin is None:
        return None
    if (digest := digest_of(weights)) != origin.carried:
        raise FileFormatError(
            f"{source}: {_WEIGHTS} has the sha256 {digest[:8]}… and not {origin.carried[:8]}…, so these are not the "
            f"weights that were saved; ask for the file again"
        )
    return WeightSource(origin.place, origin.file, origin.sha256, tuple(origin.left_out), tuple(origin.anew))


def _apply_again(state: State, recipe: str, steps: tuple[Transform, ...], planned_on: Target, source: str) -> State:
    """Apply one saved change on the target it was planned on."""
    if not steps:
        raise FileFormatError(f"{source}: a change without steps")
    edit = Recipe(recipe, steps) if recipe or len(steps) > 1 else steps[0]
    try:
        return state.on(planned_on).apply(edit)
    except WorkbenchError as error:
        raise FileFormatError(f"{source}: {error}") from error


def _learn_again(state: State, learned: _Weights, data: bytes, source: str) -> State:
    """Put saved weights on the network they were learned on."""
    tensors = read_weights(data, f"{source}, {learned.weights}")
    check_weights(build_state(state), tensors, f"{source}, {learned.weights}", state.model_name)
    return state.after(Learned(state.graph, tensors, learned.said, tuple(learned.epochs), tuple(learned.stages)))


def _describe(state: State, weights: bytes) -> dict[str, Any]:
    """The content of session.yaml. weights: the member with the base weights."""
    base = state.base
    assert base.input_size is not None
    changes: list[dict[str, Any]] = []
    number = 0
    for change in state.changes:
        if isinstance(change, Learned):
            number += 1
            epochs = [dict(row) for row in change.epochs]
            tuned = {"weights": _member(number), "said": change.source, "epochs": epochs}
            if change.stages:
                tuned["stages"] = [dict(row) for row in change.stages]
            changes.append({"tuned": tuned})
        else:
            changes.append(_describe_applied(change, state.target))
    return {
        "version": 1,
        "model": {"name": base.name, "custom": base.custom, "weights": base.weights}
        | ({} if base.classes is None else {"classes": base.classes})
        | ({} if base.head == "classification" else {"head": base.head})
        | ({} if base.source is None else {"source": _describe_source(base.source, weights)}),
        "input_size": list(base.input_size),
        "target": state.target.describe(),
        "graph": base.graph.digest,
        "versions": {**_versions(), "compiler": state.target.compiler},
        "changes": changes,
        "annotations": _describe_notes(state),
    }


def _describe_notes(state: State) -> list[dict[str, str]]:
    """Every note, with the digest of what it speaks of where that is known."""
    digests = [*state.noted_of, *[""] * len(state.annotations)]
    return [
        {"path": where, "text": text} | ({"of": digest} if digest else {})
        for (where, text), digest in zip(state.annotations, digests, strict=False)
    ]


def _describe_source(source: WeightSource, weights: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {"place": source.place, "file": source.file, "sha256": source.sha256}
    facts |= {name: list(paths) for name in ("left_out", "anew") if (paths := getattr(source, name))}
    return {**facts, "carried": digest_of(weights)}


def _describe_applied(change: Applied, target: Target) -> dict[str, Any]:
    facts: dict[str, Any] = {"recipe": change.recipe} if change.recipe else {}
    if change.planned_on != target:
        facts["planned_on"] = change.planned_on.describe()
    return facts | {"steps": [to_step(step.transform) for step in change.steps]}


def _wrong(names: Set[str]) -> str:
    tuned = {name for name in names if re.fullmatch(r"tuned-[1-9][0-9]{0,3}\.safetensors", name)}
    return (
        ""
        if names - tuned == {_TEXT, _WEIGHTS}
        else f"is no session: it must hold {_TEXT} and {_WEIGHTS} and nothing else"
    )


def _versions() -> dict[str, str]:
    return {"workbench": version("nas-workbench"), "torch": version("torch"), "timm": version("timm")}


def _packages(file: _File) -> dict[str, str]:
    """The versions of what a graph depends on."""
    return {name: number for name, number in file.versions.items() if name != "compiler"}


def _spell(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
