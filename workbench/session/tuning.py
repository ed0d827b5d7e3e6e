"""Weights that came to a session after steps were taken: learned here, or given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import InputError, unknown
from ..files import nearest_file
from ..graph import as_built
from ..surgery import build, recompress
from ..training import Score, Task, fit, named, prepared, resolve_task, score, score_with
from .opening import check_weights, read_weights
from .progress import shown

if TYPE_CHECKING:
    from .core import Session

__all__ = ["Tuned", "evaluate", "finetune", "images_of", "with_tuned", "with_weights"]

_IMAGES = 128  # pictures of a task on which replaced blocks are fitted and an int8 file's ranges are found


@dataclass(frozen=True, eq=False)
class Tuned:
    """The weights of the network after the first `steps` steps. said: where they come from.

    epochs: one row per epoch they were learned in: epoch, loss, score.
    """

    steps: int
    state: Mapping[str, torch.Tensor] = field(repr=False)
    said: str
    epochs: tuple[Mapping[str, float], ...] = ()


def started(session: "Session") -> nn.Module:
    """The module at the session's last weights, before the steps taken since."""
    tuned = session.tuned
    assert tuned is not None
    plans = [step.plan for step in session.steps[: tuned.steps]]
    module = build(session.base.module, session.base.graph, plans) if plans else session.base.copy()
    check_weights(module, tuned.state, tuned.said, session.model_name)
    module.load_state_dict(tuned.state)
    return module


def with_tuned(
    session: "Session", state: Mapping[str, torch.Tensor], said: str, epochs: tuple[Mapping[str, float], ...] = ()
) -> "Session":
    """The session with these weights on its network as it is now, one change for `undo`."""
    return session.followed(tuned=Tuned(len(session.steps), dict(state), said, epochs))


def with_weights(session: "Session", weights: nn.Module | str | Path) -> "Session":
    """See `Session.with_weights`."""
    if isinstance(weights, nn.Module):
        said = f"a {type(weights).__name__}"
        state = {k: v.detach().cpu().clone() for k, v in weights.state_dict().items() if isinstance(v, torch.Tensor)}
    else:
        path = nearest_file(weights, "weights", (".safetensors",))
        said, state = path.name, read_weights(path.read_bytes(), path.name, path.suffix)
    check_weights(session.build(), state, said, f"{session.model_name} after {len(session.steps)} steps")
    return with_tuned(session, state, said)


def finetune(
    session: "Session",
    task: str | Path | Task,
    options: Mapping[str, Any],
    teacher: "Session | nn.Module | None" = None,
) -> "Session":
    """See `Session.finetune`."""
    question, size = resolve_task(task), _size(session)
    schedule = named({**question.schedule, **options})
    module = session.build(calibration=images_of(session, question) if session.untuned_steps else None)
    graph = session.graph

    def project(learned: nn.Module) -> None:
        recompress(learned, graph)

    taught = teacher if teacher is None or isinstance(teacher, nn.Module) else teacher.build()
    with shown(f"learning {question.name}") as progress:
        trained = fit(
            module, question, size, schedule, taught, progress, session.model_name,
            project if graph != as_built(graph) else None,
        )  # fmt: skip
    epochs = f"{schedule.epochs} epoch{'' if schedule.epochs == 1 else 's'}"
    return with_tuned(session, trained.state, f"{question.name}, {epochs}", trained.epochs)


def evaluate(
    session: "Session", task: str | Path | Task, dtype: str = "float", calibration: torch.Tensor | None = None
) -> Score:
    """See `Session.evaluate`."""
    if dtype not in ("float", "int8", "int16"):
        raise unknown("dtype", dtype, ("float", "int8", "int16"))
    question, size = resolve_task(task), _size(session)
    if calibration is not None:
        session.check_images(calibration, "calibration")
    images = images_of(session, question) if calibration is None else calibration
    module = session.build(calibration=images if session.untuned_steps else None)
    question.check(_answer(module, images[:1]), session.model_name)
    if dtype == "float":
        return score(module, question, size)
    from ..deploy import Int8File, int8_file

    file = Int8File(int8_file(module, images, dtype))
    return score_with(lambda pictures: file(prepared(pictures, size, module)), question, size, dtype)


def images_of(session: "Session", task: Task, count: int = _IMAGES) -> torch.Tensor:
    """Training pictures of a task as the network reads them, spread over all of them; no labels."""
    import numpy as np

    size = _size(session)
    total = task.count("train")
    which = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    pictures, _ = task.batch("train", which, size[1:])
    return prepared(pictures, size, session.base.module)


def _answer(module: nn.Module, images: torch.Tensor) -> Any:
    with torch.inference_mode():
        return module(images)


def _size(session: "Session") -> tuple[int, int, int]:
    if session.input_size is None:
        raise InputError("a task's pictures need a network that reads one image; open it with input_size=")
    return session.input_size
