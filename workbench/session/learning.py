"""Weights that come to a network: learned on a task, or given; and how well it does."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError, unknown
from ..files import nearest_file
from ..graph import as_built
from ..progress import shown
from ..state import AnyState, Learned, Size, State, check_images, check_weights, own_copy, read_weights, tensors_of
from ..surgery import build_state, recompress
from ..training import (
    Part,
    Schedule,
    Score,
    Task,
    check_chosen_on,
    check_judged,
    fit,
    named,
    prepared,
    resolve_task,
    score,
    score_with,
)
from ..training.scoring import training_pictures

__all__ = [
    "before_edits",
    "evaluate",
    "images_of",
    "learn",
    "learned_on",
    "schedule_of",
    "size_of",
    "with_weights",
]

_IMAGES = 128  # pictures of a task on which replaced blocks are fitted and an int8 file's ranges are found


def with_weights(state: AnyState, weights: nn.Module | str | Path) -> AnyState:
    """See `Session.with_weights`."""
    if isinstance(weights, nn.Module):
        source = f"a {type(weights).__name__}"
        tensors = {name: value.detach().cpu().clone() for name, value in tensors_of(own_copy(weights)).items()}
    else:
        path = nearest_file(weights, "weights", (".safetensors",))
        source, tensors = path.name, read_weights(path.read_bytes(), path.name, path.suffix)
    check_weights(build_state(state), tensors, source, f"{state.model_name} after {len(state.steps)} steps")
    return state.after(Learned(state.graph, tensors, source))


def learn(
    state: AnyState,
    task: str | Path | Task,
    options: Mapping[str, Any],
    teacher: State | nn.Module | None = None,
    start: nn.Module | None = None,
) -> AnyState:
    """The state with weights learned on a task, from its own, or from those of `start`, a module of its network."""
    data, size = resolve_task(task), size_of(state)
    schedule = schedule_of(data, options, "finetune")
    module = start
    if module is None:
        module = build_state(state, images_of(state, data) if state.plans_since_learned else None)
    graph = state.graph

    def project(learned: nn.Module) -> None:
        recompress(learned, graph)

    taught = teacher if teacher is None or isinstance(teacher, nn.Module) else build_state(teacher)
    with shown(f"learning {data.name}") as progress:
        trained = fit(
            module, data, size, schedule, taught, progress, state.model_name,
            project if graph != as_built(graph) else None,
        )  # fmt: skip
    count = len(trained.epochs)
    epochs = f"{count} epoch{'' if count == 1 else 's'}"
    return state.after(Learned(graph, dict(trained.state), f"{data.name}, {epochs}", trained.epochs))


def learned_on(weights: Learned, task: Task) -> bool:
    """Whether weights were learned on a task; those that were given are taken to be."""
    return not weights.epochs or weights.source.startswith(f"{task.name}, ")


def before_edits(state: AnyState) -> AnyState:
    """The state with the weights last learned, before the steps taken since."""
    learned = state.learned
    count = 0 if learned is None else state.changes.index(learned) + 1
    return replace(state, changes=state.changes[:count], undone=())


def schedule_of(task: Task, options: Mapping[str, Any], verb: str, **defaults: Any) -> Schedule:
    """The task's schedule with the defaults and options of a verb; InputError where it chose on the test part."""
    if "part" in options:
        check_chosen_on(str(options["part"]), verb)
    return named({**task.schedule, **defaults, **options})


def evaluate(
    state: State,
    task: str | Path | Task,
    dtype: str = "float",
    calibration: torch.Tensor | None = None,
    part: Part = "val",
) -> Score:
    """See `Session.evaluate`."""
    check_judged(part)
    if dtype not in ("float", "int8", "int16"):
        raise unknown("dtype", dtype, ("float", "int8", "int16"))
    data, size = resolve_task(task), size_of(state)
    if calibration is not None:
        check_images(calibration, "calibration", state.input_size)
    images = images_of(state, data) if calibration is None else calibration
    module = build_state(state, images if state.plans_since_learned else None)
    data.check(_answer(module, images[:1]), state.model_name)
    if dtype == "float":
        return score(module, data, size, part)
    from ..deploy import Int8File, int8_file

    file = Int8File(int8_file(module, images, dtype))
    return score_with(lambda pictures: file(prepared(pictures, size, module)), data, size, dtype, part)


def images_of(state: State, task: Task, count: int = _IMAGES) -> torch.Tensor:
    """Training pictures of a task as the network reads them, spread over all of them; no labels."""
    return training_pictures(task, size_of(state), state.base.module, count)


def _answer(module: nn.Module, images: torch.Tensor) -> Any:
    with torch.inference_mode():
        return module(images)


def size_of(state: State) -> Size:
    """(channels, height, width) of the pictures a state reads; InputError where it reads none."""
    if state.input_size is None:
        raise InputError("a task's pictures need a network that reads one image; open it with input_size=")
    return state.input_size
