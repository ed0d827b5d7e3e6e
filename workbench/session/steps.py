"""Steps: transforms that were planned on a session's graph."""

from dataclasses import dataclass
from pathlib import Path

from .. import transforms
from ..errors import InputError
from ..graph import Graph
from ..hardware import Target
from ..recipe import Recipe
from ..transforms import TRANSFORMS, Transform, compose

__all__ = ["Change", "Step", "planned"]

Change = Transform | Recipe | str | Path  # the last two: the path of a recipe file


@dataclass(frozen=True)
class Step(transforms.Step):
    """One transform that was applied: the plan it made, the graph after it.

    recipe: name of the recipe it came with ("" by hand).
    """

    recipe: str = ""


def planned(change: Change, graph: Graph, target: Target) -> tuple[Step, ...]:
    """The steps of one change; raises NotApplicable or InputError where any of them does not apply."""
    if isinstance(change, (str, Path)):
        change = Recipe.load(change)
    if isinstance(change, Recipe):
        composed, recipe = compose(change.steps, graph, target, change.name), change.name
    elif type(change) in TRANSFORMS.values():
        composed, recipe = compose((change,), graph, target), ""
    else:
        what = f"the class {change.__name__}; try {change.__name__}()" if isinstance(change, type) else repr(change)
        raise InputError(f"apply takes a transform, a Recipe or the path of a recipe file, not {what}")
    return tuple(Step(step.transform, step.plan, step.graph, step.planned_on, recipe) for step in composed)
