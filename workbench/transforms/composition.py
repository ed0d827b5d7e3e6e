"""Composition: transforms one after another, each planned on the graph the ones before it left."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import WorkbenchError
from ..graph import Graph, Plan, rewrite
from ..hardware import Target
from .base import Transform, describe

__all__ = ["Step", "compose"]


@dataclass(frozen=True)
class Step:
    """A transform, the plan it made on the graph before it, and the graph after it.

    planned_on: the target the plan was made for; it stays when the network is looked at on another one.
    """

    transform: Transform
    plan: Plan = field(repr=False)
    graph: Graph = field(repr=False)
    planned_on: Target = field(repr=False)


def compose(transforms: Sequence[Transform], graph: Graph, target: Target, recipe: str = "") -> tuple[Step, ...]:
    """The steps of `transforms`, taken on `graph` for `target` in their order; all of them or none.

    recipe: name of the recipe that holds the transforms, for the errors; "" for transforms written by hand.
    Raises what the failing transform raises (NotApplicable, UnknownName, InputError), with its number and the
    transforms before it where there are several or they stand in a recipe.

    >>> from workbench.graph import Graph, Op
    >>> from workbench.hardware import resolve
    >>> from workbench.transforms import InputSize
    >>> picture, target = Graph((Op("x", "input", (), (1, 3, 32, 32)),), ("x",)), resolve("ethos-u55-128")
    >>> [step.graph.inputs[0].shape for step in compose([InputSize(64), InputSize(96)], picture, target)]
    [(1, 3, 64, 64), (1, 3, 96, 96)]
    >>> compose([InputSize(64), InputSize(64)], picture, target)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    workbench.errors.NotApplicable: step 2, InputSize(height=64): after InputSize(height=64), the network already ...
    """
    steps: list[Step] = []
    for transform in transforms:
        try:
            plan = transform.plan(graph, target)
            graph = rewrite(graph, plan)
        except WorkbenchError as error:
            if len(transforms) == 1 and not recipe:
                raise
            raise type(error)(f"{_place(transforms, len(steps), recipe)}{error}") from error
        steps.append(Step(transform, plan, graph, target))
    return tuple(steps)


def _place(transforms: Sequence[Transform], index: int, recipe: str) -> str:
    """Which of the transforms, counted from one, and what stands before it: the beginning of an error's sentence."""
    within = f" of recipe {recipe!r}" if recipe else ""
    before = ", ".join(map(describe, transforms[:index]))
    return f"step {index + 1}{within}, {describe(transforms[index])}: {f'after {before}, ' if before else ''}"
