"""What a session's network is expected to score once it is trained."""

from dataclasses import replace
from pathlib import Path

from ..forecast import Features, Forecast, Question, evidence, forecast_unedited
from ..forecast import forecast as expected
from ..state import Applied, State
from ..training import Task, resolve_task
from ..transforms import describe
from .learning import before_edits
from .unedited import Unedited, unedited_of

__all__ = ["forecast", "forecast_as_built"]


def forecast(state: State, task: str | Path | Task) -> Forecast:
    """See `Session.forecast`."""
    data = resolve_task(task)
    unedited = unedited_of(before_edits(state), data)
    if not state.plans_since_learned:
        return forecast_unedited(data.name, data.metric, unedited.score)
    features = unedited.features(state, fit=True)
    return expected(_question(unedited), features, _steps(unedited, state))


def forecast_as_built(state: State, task: str | Path | Task) -> Forecast:
    """The same from what is measured in a second: nothing is fitted, and no part of the loss told."""
    data = resolve_task(task)
    unedited = unedited_of(before_edits(state), data)
    if not state.plans_since_learned:
        return forecast_unedited(data.name, data.metric, unedited.score)
    return expected(_question(unedited), unedited.features(state, fit=False))


def _question(unedited: Unedited) -> Question:
    data, candidates = unedited.data, evidence()
    own = (candidates["data"] == data.digest) & (candidates["network"] == unedited.state.graph.digest)
    return Question(data.name, data.metric, candidates[own], candidates[~own])


def _steps(unedited: Unedited, state: State) -> list[tuple[str, Features]]:
    """Each step since weights were learned, in words, and the features of the network after it."""
    steps = state.steps[len(state.steps) - len(state.plans_since_learned) :]
    rows = []
    for count, step in enumerate(steps, 1):
        after = replace(state, changes=(*unedited.state.changes, Applied(steps[:count])), undone=())
        rows.append((describe(step.transform), unedited.features(after, fit=False)))
    return rows
