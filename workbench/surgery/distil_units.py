"""All parameters of each changed block by gradient descent, block after block: x~ -> B y (`units.py`, `distil.py`)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..graph import Graph
from ..graph.trace import evaluating
from ..progress import Progress
from .counterparts import Edited
from .distil import imitate
from .units import Walk, changed_units

__all__ = ["distil_units"]


@torch.no_grad()
def distil_units(
    model: nn.Module,
    graph: Graph,
    edited: Edited,
    images: tuple[Tensor, Tensor],
    steps: int,
    progress: Progress | None = None,
    start: int = 0,
    done: Callable[[int], None] | None = None,
) -> None:
    """Distil the changed blocks of `edited`, in place, towards those of `model`; arguments as for `refit_units`.

    steps: a block. start: this many of the units are distilled already. done: called with their number after each.
    """
    walk, listed = Walk(model, edited, images), changed_units(graph, edited)
    with evaluating(model, edited.module):
        for i, unit in enumerate(listed):
            y, goal = walk.goal(unit)
            if unit.changed and i >= start:
                module = edited.module.get_submodule(unit.path)
                imitate(module, walk.enter(unit)[1], goal, steps)
            walk.leave(unit, y)
            if progress is not None:
                progress(unit.path, i + 1, len(listed))
            if done is not None and i >= start:
                done(i + 1)
