"""What was done to a network, one value per undoable change: transforms applied, or weights learned or given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..estimators import WeightValues, weight_values
from ..graph import Graph, Plan
from ..hardware import Target
from ..recipe import Recipe
from ..transforms import TRANSFORMS, Step, Transform, compose, describe
from .weights import weights_of

__all__ = ["Applied", "Change", "Edit", "Learned", "applied"]

Edit = Transform | Recipe | str | Path  # what `apply` takes; the last two: the path of a recipe file


@dataclass(frozen=True)
class Applied:
    """Transforms that were applied together. steps: at least one. recipe: the name they came under, "" by hand."""

    steps: tuple[Step, ...]
    recipe: str = ""

    @property
    def graph(self) -> Graph:
        """The network after the last step."""
        return self.steps[-1].graph

    @property
    def plans(self) -> tuple[Plan, ...]:
        return tuple(step.plan for step in self.steps)

    @property
    def planned_on(self) -> Target:
        """The target it was planned for, which stays when the network is looked at on another one."""
        return self.steps[-1].planned_on

    def __str__(self) -> str:
        return f"recipe {self.recipe!r}" if self.recipe else ", ".join(describe(step.transform) for step in self.steps)


@dataclass(frozen=True, eq=False)
class Learned:
    """Weights that were learned, or given, for the network as it was then.

    graph: that network. weights: its state_dict. source: where they come from, in words ("digits, 5 epochs").
    epochs: one row per epoch they were learned in: epoch, loss, score. stages: one row per stage of a recovery: stage,
    score, seconds.
    """

    graph: Graph = field(repr=False)
    weights: Mapping[str, torch.Tensor] = field(repr=False)
    source: str
    epochs: tuple[Mapping[str, float], ...] = ()
    stages: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def values(self) -> WeightValues:
        """How these weights are distributed, for estimates of networks that carry them."""
        return weight_values(self.graph, weights_of(self.weights))

    def __str__(self) -> str:
        return f"weights of {self.source}"


Change = Applied | Learned


def applied(edit: Edit, graph: Graph, target: Target) -> Applied:
    """A transform, a recipe or a recipe file, planned on a graph for a target.

    Raises NotApplicable or InputError where one of the steps does not apply, FileFormatError for a damaged file.
    """
    if isinstance(edit, (str, Path)):
        edit = Recipe.load(edit)
    if isinstance(edit, Recipe):
        return Applied(compose(edit.steps, graph, target, edit.name), edit.name)
    if type(edit) in TRANSFORMS.values():
        return Applied(compose((edit,), graph, target))
    what = f"the class {edit.__name__}; try {edit.__name__}()" if isinstance(edit, type) else repr(edit)
    raise InputError(f"apply takes a transform, a Recipe or the path of a recipe file, not {what}")
