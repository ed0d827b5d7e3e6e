"""How far a network's answers are from another's on the same pictures, for which nobody needs to know the labels."""

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .evidence import Means
from .resampling import Interval
from .scoring import logits
from .tasks import Task

__all__ = ["Distance", "distance"]

_BATCH = 64


@dataclass(frozen=True)
class Distance:
    """value: the mean over pictures. pictures: how many. images: digest of them. each: the distance of every one."""

    task: str
    value: float
    pictures: int
    images: str = field(repr=False)
    each: Means = field(repr=False, compare=False)

    @cached_property
    def interval(self) -> Interval:
        """95 %, by the bootstrap over pictures."""
        return self.each.interval()

    def difference_interval(self, other: Self) -> Interval:
        """Of this distance minus the other on the same pictures, 95 %, by the paired bootstrap; where it holds 0, these
        pictures show no difference.

        Raises InputError where the two are of other pictures.
        """
        if (self.task, self.images) != (other.task, other.images):
            raise InputError(
                f"distances on the same pictures are compared, and these are of {self.pictures} for {self.task} and of "
                f"{other.pictures} others for {other.task}"
            )
        return self.each.difference_interval(other.each)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.task}: distance {self.value:.4f} (95 %: {low:.4f} to {high:.4f}) of {self.pictures} pictures"


def distance(network: nn.Module, original: nn.Module, task: Task, images: Tensor) -> Distance:
    """How far the network's answers are from the original's, such as those of the network before it was edited.

    images: [n, C, H, W] as both read them; pictures without labels will do, and any number. task: how answers are
    compared: for classes, the Kullback-Leibler divergence of the network's from the original's probabilities, softened
    at temperature 2 and times its square (Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network,
    section 2.1), in nats; for masks the same per cell; for boxes as `Detection.distance` says. 0 where they are equal
    (of boxes but for rounding).

    Every picture says by how much it changed, where a count of hits only says of a few that they turned: it tells
    candidates apart on fewer pictures. It is blind to changes for the better.

    >>> import timm, torch
    >>> from workbench.training import resolve_task
    >>> model, images = timm.create_model("test_resnet", num_classes=10), torch.zeros(2, 3, 32, 32)
    >>> distance(model, model, resolve_task("digits"), images).value
    0.0
    """
    if images.ndim != 4 or not len(images):
        raise InputError(f"images are of shape {tuple(images.shape)}; they must be [n, channels, height, width]")
    each = []
    for batch in images.split(_BATCH):
        answers = [logits(module, batch.to(next(module.parameters()).device)).cpu() for module in (network, original)]
        each.append(task.distances(*answers).float().numpy())
    means = Means(np.concatenate(each))
    digest = sha256(f"{tuple(images.shape)} {images.dtype}".encode())
    digest.update(images.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return Distance(task.name, means.value, means.pictures, digest.hexdigest()[:16], means)
