"""How far the answers of an edited network are from those of the network before the edits, on the same pictures."""

from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..training import Task, prepared
from ..training.scoring import logits

__all__ = ["Outputs", "distance_between", "outputs_of"]

_PICTURES = 64  # of the training part; nobody needs to know their labels
_BATCH = 64

Outputs = tuple[Any, ...]  # of a network, a batch each


def outputs_of(module: nn.Module, task: Task, size: tuple[int, int, int]) -> Outputs:
    """Of a module that reads pictures of `size`, (channels, height, width), to training pictures spread over all."""
    total = task.count("train")
    rows = np.unique(np.linspace(0, total - 1, min(_PICTURES, total)).round().astype(int))
    outputs = []
    for start in range(0, len(rows), _BATCH):
        pictures, _ = task.batch("train", rows[start : start + _BATCH], size[1:])
        images = prepared(pictures, size, module).contiguous(memory_format=torch.channels_last)
        outputs.append(logits(module, images))
    return tuple(outputs)


def distance_between(outputs: Outputs, originals: Outputs, task: Task) -> float:
    """Mean over pictures of `Task.distances`. originals: of the network before the edits.

    Raises InputError where the two cannot be compared.
    """
    try:
        distances = [task.distances(*pair) for pair in zip(outputs, originals, strict=True)]
    except RuntimeError:  # of maps of another size
        before, after = (tuple(batches[0].shape[1:]) for batches in (originals, outputs))
        raise InputError(
            f"the steps change the shape of the answers for {task.name} from {before} to {after}, so they cannot be "
            f"compared; steps that keep it have a forecast"
        ) from None
    return float(torch.cat(distances).double().mean())
