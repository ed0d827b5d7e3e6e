"""Edits of a network fitted to the network before them by least squares: the first stage of a recovery."""

import torch
from torch import nn

from ..progress import Progress
from ..state import State
from ..surgery import recompress
from ..surgery.counterparts import Edited, carry_out_reconstructing
from ..surgery.refit_units import refit_units
from ..training import Task
from .learning import images_of

__all__ = ["fitted", "images_of_both"]


def fitted(
    state: State,
    before: State,
    teacher: nn.Module,
    images: tuple[torch.Tensor, torch.Tensor],
    progress: Progress,
    start: Edited | None = None,
) -> Edited:
    """The edited network, replaced layers and narrowed widths fitted.

    before: the state without the edits; teacher: its module. images: as `images_of_both` gives them. start: the edited
    network as the block library has it; None: the edits are carried out here, by least squares.
    """
    plans, inputs = state.plans_since_learned, state.base.example_inputs
    edited = start or carry_out_reconstructing(teacher, before.graph, plans, images[1], inputs)
    refit_units(teacher, before.graph, edited, images, progress)
    recompress(edited.module, state.graph)
    return edited


def images_of_both(before: State, state: State, data: Task, pictures: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same training pictures as both networks read them, every other one mirrored where that may be."""
    pair = tuple(images_of(network, data, pictures) for network in (before, state))
    for images in pair:
        images[1::2] = images[1::2].flip(-1)
    first, second = (images.contiguous(memory_format=torch.channels_last) for images in pair)
    return first, second
