"""Trained candidates kept, for forecasts of the next ones."""

import json
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
    try:
        features = unedited_of(before, data).features(edited)
    except WorkbenchError:  # initial weights, or answers that cannot be compared, teach no forecast
        return
    keep(
        {
            "task": data.name,
            "data": data.digest,
            "network": before.graph.digest,
            "graph": edited.graph.digest,
            "transforms": json.dumps([to_step(step.transform) for step in steps]),
            "seed": schedule.seed,
            "epochs": schedule.epochs,
            "pictures": score.pictures,
            **asdict(features),
            "score": score.value,
        }
    )
