"""Steps: transforms that were planned on a session's graph."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, WorkbenchError
from ..graph import Graph, Plan, rewrite
from ..hardware import Target
from ..recipe import Recipe, describe
from ..transforms import TRANSFORMS, Transform

__all__ = ["Change", "Step", "planned"]

Change = Transform | Recipe | str | Path  # the last two: the path of a recipe file


@dataclass(frozen=True)
class Step:
    """One transform that was applied: the plan it made, the graph after it.

    recipe: name of the recipe it came with ("" by hand). planned_on: the target it was planned for, which stays
    when the session is looked at on another one.
    """

    transform: Transform
    plan: Plan = field(repr=False)
    graph: Graph = field(repr=False)
    planned_on: Target = field(repr=False)
    recipe: str = ""


def planned(change: Change, graph: Graph, target: Target) -> tuple[Step, ...]:
    """The steps of one change; raises NotApplicable or InputError where any of them does not apply."""
    if isinstance(change, (str, Path)):
        change = Recipe.load(change)
    if isinstance(change, Recipe):
        return tuple(_steps(change.steps, change.name, graph, target))
    if type(change) in TRANSFORMS.values():
        return tuple(_steps((change,), "", graph, target))
    what = f"the class {change.__name__}; try {change.__name__}()" if isinstance(change, type) else repr(change)
    raise InputError(f"apply takes a transform, a Recipe or the path of a recipe file, not {what}")


def _steps(transforms: tuple[Transform, ...], recipe: str, graph: Graph, target: Target) -> Iterable[Step]:
    for i, transform in enumerate(transforms):
        try:
            plan = transform.plan(graph, target)
            graph = rewrite(graph, plan)
        except WorkbenchError as error:
            if not recipe:
                raise
            where = f"step {i + 1} of recipe {recipe!r}, {describe(transform)}"
            raise type(error)(f"{where}: {error}") from error
        yield Step(transform, plan, graph, target, recipe)
