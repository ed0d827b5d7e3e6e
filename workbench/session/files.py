"""Session files: a zip of `session.yaml` and `weights.safetensors`.

    version: 1
    model: {name: mobilenetv2_100, custom: false, weights: initial}     # classes, head: where they were asked for
    input_size: [3, 224, 224]
    target: ethos-u65-512           # or a mapping, for a configuration of one's own
    graph: 0123456789abcdef         # digest of the graph before the first step
    versions: {workbench: ..., torch: ..., timm: ...}
    changes:                        # one per `apply`; several steps where a recipe was applied
      - steps: [{transform: FuseIBN, blocks: blocks.1.*}]
      - tuned: {weights: tuned-1.safetensors, said: "digits, 5 epochs", epochs: [...]}
    annotations: [{path: blocks.2.0, text: ...}]

Loading makes the model again, checks it against the file and applies the steps again: plans are not stored,
because they follow from the graph and the target. Nothing is unpickled and no code in the file runs.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import fields, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ..errors import FileFormatError, InputError, WorkbenchError
from ..files import check_folder, nearest_file, packed, read_yaml, unpacked, write_atomic
from ..hardware import EthosU, Target, resolve
from ..recipe import Recipe, check, from_step, to_step
from .opening import check_weights, create, prepare, read_weights
from .tuning import Tuned, with_tuned

if TYPE_CHECKING:
    from .core import Session

__all__ = ["load", "save"]

_TEXT, _WEIGHTS = "session.yaml", "weights.safetensors"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Model(_Strict):
    name: str
    custom: bool = False
    weights: Literal["initial", "pretrained", "checkpoint", "given"] = "initial"
    classes: int | None = Field(default=None, ge=1)
    head: Literal["classification", "detection", "segmentation"] = "classification"


class _Configuration(_Strict):
    """A target that is none of the named ones."""

    accelerator: str
    system_config: str | None = None
    memory_mode: str | None = None
    arena_bytes: int | None = None
    strategy: str = "performance"
    ini: str | None = None


class _Tuned(_Strict):
    weights: str
    said: str
    epochs: list[dict[str, int | float]] = []


class _Change(_Strict):
    steps: list[dict[str, Any]] = []
    tuned: _Tuned | None = None
    recipe: str = ""
    planned_on: str | _Configuration | None = None


class _Note(_Strict):
    path: str
    text: str


class _File(_Strict):
    version: Literal[1]
    model: _Model
    input_size: list[int]
    target: str | _Configuration
    graph: str
    versions: dict[str, str]
    changes: list[_Change] = []
    annotations: list[_Note] = []


def save(session: "Session", path: Path) -> Path:
    """Write the session, all of it or nothing. The base weights are in it; built weights are made again."""
    from safetensors.torch import save as to_bytes

    if path.suffix != ".wb":
        raise InputError(f"a session is saved as .wb, not as {path.suffix or path.name!r}; try {path.stem}.wb")
    if session.input_size is None:
        raise InputError("a session opened with example_inputs cannot be saved; open it with input_size= to save it")
    check_folder(path)
    members = {_WEIGHTS: to_bytes(_apart(session.base.module.state_dict()))}
    for number, tuned in enumerate(_tuned(session), 1):
        members[f"tuned-{number}.safetensors"] = to_bytes(_apart(tuned.state))
    text = yaml.safe_dump(
        _describe(session), sort_keys=False, allow_unicode=True, explicit_start=True, explicit_end=True
    )
    return write_atomic(path, packed({_TEXT: text.encode(), **members}))


def _apart(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Copies, because tied weights share memory and the format knows no sharing."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in state.items() if isinstance(v, torch.Tensor)}


def _tuned(session: "Session") -> list[Tuned]:
    """The weights learned or given along the way, in their order."""
    found = [after.tuned for before, after in pairwise(session.path) if after.tuned is not before.tuned]
    return [one for one in found if one is not None]


def load(path: str | Path, model: nn.Module | None = None) -> "Session":
    """Read a session file.

    model: the module, where the session was opened on one of your own; its graph must be the one saved.
    Raises FileFormatError for a damaged file, InputError where `model` is missing or another one.
    """
    from .core import Session

    path = nearest_file(path, "session", (".wb",))
    text, members = unpacked(path, "session file", _TEXT, _wrong)
    content, root = read_yaml(text, f"{path.name}, {_TEXT}")
    file: _File = check(_File, content, root, f"{path.name}, {_TEXT}")
    if len(file.input_size) != 3 or min(file.input_size) < 1:
        raise FileFormatError(
            f"{path.name}: input_size {file.input_size} must be [channels, height, width], above zero"
        )
    size = (file.input_size[0], file.input_size[1], file.input_size[2])
    state = read_weights(members[_WEIGHTS], f"{path.name}, {_WEIGHTS}")
    wanted = {_WEIGHTS, *(change.tuned.weights for change in file.changes if change.tuned)}
    if wanted != set(members):
        raise FileFormatError(
            f"{path.name} is no session: it must hold {', '.join(sorted({_TEXT, *wanted}))} and nothing else"
        )
    try:
        target = _target(file.target)
        planned = [target if c.planned_on is None else _target(c.planned_on) for c in file.changes]
        changes = [tuple(from_step(step) for step in change.steps) for change in file.changes]
    except WorkbenchError as error:
        raise FileFormatError(f"{path.name}: {error}") from None
    name = file.model.name
    if file.model.custom:
        if model is None:
            raise InputError(f"{path.name} is a session on your own module {name}; give it as load(path, model=...)")
        import copy

        module = copy.deepcopy(model)
    else:
        if model is not None:
            raise InputError(f"{path.name} is a session on timm's {name}; load it without model=")
        if file.model.classes is None and file.model.head != "classification":
            raise FileFormatError(
                f"{path.name}: the head for {file.model.head} needs a number of classes, and has none"
            )
        module, _ = create(name, size, file.model.classes, file.model.head)
    check_weights(module, state, path.name, name)
    module.load_state_dict(state)
    base = prepare(module, name, file.model.custom, size, file.model.weights, None, file.model.classes, file.model.head)
    if base.graph.digest != file.graph and (file.model.custom or file.versions == _versions()):
        raise InputError(
            f"{path.name} was saved on another graph of {name} (digest {file.graph}, here {base.graph.digest}; "
            f"saved with {_spell(file.versions)}, here {_spell(_versions())})"
        )
    session = Session(base, target)
    for change, steps, where in zip(file.changes, changes, planned, strict=True):
        if change.tuned is None:
            session = _again(session, change.recipe, steps, where, path.name)
        else:
            session = _learned(session, change.tuned, members[change.tuned.weights], path.name)
    return replace(session, annotations=tuple((note.path, note.text) for note in file.annotations)).on(target)


def _again(session: "Session", recipe: str, steps: tuple[Any, ...], target: Any, source: str) -> "Session":
    """Apply one saved change on the target it was planned on."""
    if not steps:
        raise FileFormatError(f"{source}: a change without steps")
    what = Recipe(recipe, steps) if recipe or len(steps) > 1 else steps[0]
    try:
        return (session if session.target == target else session.on(target)).apply(what)
    except WorkbenchError as error:
        raise FileFormatError(f"{source}: {error}") from error


def _learned(session: "Session", tuned: _Tuned, data: bytes, source: str) -> "Session":
    """Put saved weights on the network they were learned on."""
    state = read_weights(data, f"{source}, {tuned.weights}")
    check_weights(session.build(), state, f"{source}, {tuned.weights}", session.model_name)
    return with_tuned(session, state, tuned.said, tuple(tuned.epochs))


def _describe(session: "Session") -> dict[str, Any]:
    base = session.base
    assert base.input_size is not None
    changes: list[dict[str, Any]] = []
    path = session.path
    number = 0
    for before, after in pairwise(path):
        if after.tuned is not None and after.tuned is not before.tuned:
            number += 1
            epochs = [dict(row) for row in after.tuned.epochs]
            tuned = {"weights": f"tuned-{number}.safetensors", "said": after.tuned.said, "epochs": epochs}
            changes.append({"tuned": tuned})
            continue
        steps = after.steps[len(before.steps) :]
        change: dict[str, Any] = {"recipe": steps[0].recipe} if steps[0].recipe else {}
        if steps[0].planned_on != session.target:
            change["planned_on"] = _named(steps[0].planned_on)
        changes.append(change | {"steps": [to_step(step.transform) for step in steps]})
    return {
        "version": 1,
        "model": {"name": base.name, "custom": base.custom, "weights": base.weights}
        | ({} if base.classes is None else {"classes": base.classes})
        | ({} if base.head == "classification" else {"head": base.head}),
        "input_size": list(base.input_size),
        "target": _named(session.target),
        "graph": base.graph.digest,
        "versions": _versions(),
        "changes": changes,
        "annotations": [{"path": where, "text": text} for where, text in session.annotations],
    }


def _named(target: Target) -> str | dict[str, Any]:
    """What a file holds for a target: its name, or its configuration where it is one of its own."""
    if not isinstance(target, EthosU):
        return target.name
    changed = {f.name: getattr(target, f.name) for f in fields(target) if getattr(target, f.name) != f.default}
    return target.name if set(changed) == {"accelerator"} else changed


def _target(spec: str | _Configuration) -> Target:
    if isinstance(spec, str):
        return resolve(spec)
    return Target.ethos_u(**spec.model_dump())


def _wrong(names: Set[str]) -> str:
    tuned = {name for name in names if re.fullmatch(r"tuned-[1-9][0-9]{0,3}\.safetensors", name)}
    return (
        ""
        if names - tuned == {_TEXT, _WEIGHTS}
        else f"is no session: it must hold {_TEXT} and {_WEIGHTS} and nothing else"
    )


def _versions() -> dict[str, str]:
    from .. import __version__

    return {"workbench": __version__, "torch": version("torch"), "timm": version("timm")}


def _spell(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
