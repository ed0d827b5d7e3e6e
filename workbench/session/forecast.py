"""What a session's network is expected to score once it is trained."""

from dataclasses import replace
from math import nan
from pathlib import Path

import pandas as pd

from ..advice import ScoreBudget, Steps
from ..errors import BudgetError, InputError, WorkbenchError
from ..forecast import Features, Forecast, Question, evidence, forecast_unedited
from ..forecast import forecast as expected
from ..progress import shown
from ..state import AnyState, Applied, State
from ..training import Task, resolve_task
from ..transforms import Step, compose, describe
from .learning import before_edits
from .unedited import Unedited, unedited_of

__all__ = ["forecast", "forecast_beside", "score_budget", "with_forecasts"]


def forecast(state: State, task: str | Path | Task | None) -> Forecast:
    """See `Session.forecast`."""
    if task is None:
        raise InputError("forecast needs a task, as none was named for this session, such as forecast('digits')")
    data = resolve_task(task)
    unedited = unedited_of(before_edits(state), data)
    if not state.plans_since_learned:
        return forecast_unedited(data.name, data.metric, unedited.score)
    features = unedited.features(state)
    return expected(_question(unedited), features, _steps(unedited, state))


def forecast_beside(state: State, task: Task | None) -> Forecast | None:
    """The same for the session's own task, without the parts of the loss.

    None where no task is named, and where its score cannot be forecast (`forecast` says why).
    """
    if task is None or state.input_size is None or state.untrained:
        return None
    try:
        unedited = unedited_of(before_edits(state), task)
        if not state.plans_since_learned:
            return forecast_unedited(task.name, task.metric, unedited.score)
        return expected(_question(unedited), unedited.features(state))
    except WorkbenchError:
        return None


def with_forecasts(state: AnyState, suggestions: pd.DataFrame, task: Task | None) -> pd.DataFrame:
    """Suggestions with what each is expected to leave of the score: score, score_low, score_high."""
    if task is None or forecast_beside(before_edits(state), task) is None:
        return suggestions
    with shown("forecasting") as progress:
        forecasts = []
        for count, steps in enumerate(suggestions["steps"], 1):
            forecasts.append(forecast_beside(state.apply(*steps), task))
            progress("", count, len(suggestions))
    nothing = (nan, nan, nan)
    rows = [nothing if foretold is None else (foretold.score, *foretold.interval) for foretold in forecasts]
    columns = pd.DataFrame(rows, columns=["score", "score_low", "score_high"], index=suggestions.index)
    table = suggestions.join(columns)
    table.attrs = suggestions.attrs
    return table


def score_budget(state: State, accuracy: float, task: Task | None) -> ScoreBudget:
    """What steps may lose of the score that the network is expected to have now, to keep `accuracy`.

    Raises InputError where that is no share, and as `forecast` does; BudgetError where the network itself has less.
    """
    number = isinstance(accuracy, int | float) and not isinstance(accuracy, bool)
    if not (number and 0 < accuracy < 1):
        raise InputError(f"accuracy is {accuracy!r}; it must be a share above 0 and below 1, such as 0.85")
    now = forecast(state, task)
    assert task is not None
    if now.score < accuracy:
        raise BudgetError(
            f"no plan meets accuracy={accuracy:g}: the wall is accuracy, and {state.model_name} has {now.score:.3f} "
            f"without steps"
        )
    unedited = unedited_of(before_edits(state), task)
    calibration = _question(unedited).calibration
    start = calibration.expected(unedited.features(state))

    def lost(steps: tuple[Step, ...]) -> float:
        after = replace(state, changes=(*state.changes, Applied(steps)), undone=()) if steps else state
        return start - calibration.expected(unedited.features(after))

    def in_all(transforms: Steps) -> float:
        return lost(compose(transforms, state.graph, state.target))

    return ScoreBudget(start - accuracy, lambda option: max(lost(option.steps), 0.0), in_all)


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
        rows.append((describe(step.transform), unedited.features(after)))
    return rows
