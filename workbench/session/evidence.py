"""Trained candidates kept, for forecasts of the next ones."""

import json
from contextlib import suppress
from dataclasses import asdict

from ..errors import WorkbenchError
from ..forecast import keep
from ..recipe import to_step
from ..state import State
from ..training import Schedule, Task
from .unedited import unedited_of

__all__ = ["keep_trained"]


def keep_trained(before: State, trained: State, data: Task, schedule: Schedule) -> None:
    """Keep the score an edited network was trained to, and what is measured of it before that.

    before: the state without the edits, its weights learned on the task. trained: the state after the training.
    """
    edited = trained.undo()
    steps = edited.steps[len(edited.steps) - len(edited.plans_since_learned) :]
    score = trained.learned_score
    assert score is not None and score.pictures is not None, "training judges every epoch"
    row = {
        "task": data.name,
        "data": data.digest,
        "network": before.graph.digest,
        "graph": edited.graph.digest,
        "transforms": json.dumps([to_step(step.transform) for step in steps]),
        "seed": schedule.seed,
        "epochs": schedule.epochs,
        "pictures": score.pictures,
        "score": score.value,
    }
    # What has no forecast (initial weights, answers that cannot be compared) teaches none, and what was trained is not
    # lost where the disk is full.
    with suppress(WorkbenchError):
        keep(row | asdict(unedited_of(before, data).features(edited)))
