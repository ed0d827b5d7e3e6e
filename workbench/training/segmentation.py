"""What every pixel shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from .augmentation import random_moves
from .evidence import Overlaps, Scorer
from .parts import Part
from .sources import NO_CLASS, Masked
from .tasks import Task, check_part

__all__ = ["Segmentation"]


@dataclass(frozen=True)
class Segmentation(Task):
    """A class per pixel; the network's outputs are logits [n, classes, rows, columns], upsampled to the picture.

    shift: pictures are moved by up to this share of their sides.

    >>> from workbench.training.embedded import RoomMasks
    >>> Segmentation("rooms/segmentation", RoomMasks()).classes[:3]
    ('wall', 'floor', 'person')
    """

    label: str
    source: Masked
    shift: float = 0.125
    folder: Path | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.label

    @property
    def head(self) -> str:
        return "segmentation"

    @property
    def schedule(self) -> Mapping[str, Any]:
        return {"batch_size": 16, "learning_rate": 5e-3}  # every picture has many answers; steps are what is short

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def digest(self) -> str:
        return f"{self.source.digest}-masks-{self.shift:g}"

    @property
    def metric(self) -> str:
        return "mIoU"

    def count(self, part: Part) -> int:
        return self.source.count(part)

    @property
    def held_out(self) -> frozenset[Part]:
        return self.source.held_out

    def batch(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Masks int64[n, height, width]; NO_CLASS where nothing is judged."""
        check_part(self.name, part, self.count(part))
        return self.source.pictures(part, rows, size), self.source.masks(part, rows, size).long()

    def varied(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        moves = random_moves(len(images), (height, width), self.shift, self.source.mirrors, generator)
        return moves.maps(images), moves.maps(targets[:, None])[:, 0]

    def check(self, outputs: Any, name: str) -> None:
        shape, channels = tuple(getattr(outputs, "shape", ())), len(self.classes)
        if len(shape) != 4 or shape[1] != channels:
            raise InputError(
                f"{name} has outputs of shape {shape}, and {self.name} needs a map of {channels} channels, one a "
                f"class; open(..., task={self.name!r}) gives it a head that fits"
            )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy per pixel, and Dice (Milletari et al. 2016, V-Net) per class that the batch shows: without it
        the few pixels of small things are learned last, and the score counts every class alike.
        """
        logits = _upsampled(outputs, targets)
        judged = targets != NO_CLASS  # pixels
        entropy = functional.cross_entropy(logits, targets, ignore_index=NO_CLASS, reduction="sum")
        truth = functional.one_hot(targets * judged, logits.shape[1]).movedim(-1, 1) * judged[:, None]
        shares = logits.softmax(1) * judged[:, None]
        both, either = ((shares * truth).sum((0, 2, 3)), (shares + truth).sum((0, 2, 3)))
        shown = truth.sum((0, 2, 3)) > 0  # classes
        dice = (1 - 2 * both / either.clamp(min=1))[shown]
        return entropy / judged.sum().clamp(min=1) + dice.sum() / max(1, len(dice))

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence per cell of the softened outputs (Hinton et al. 2015, temperature 2)."""
        heat = 2.0
        target = teacher.float() if teacher.shape == outputs.shape else _upsampled(teacher, outputs[:, 0])
        student, teacher = (functional.log_softmax(o.float() / heat, 1) for o in (outputs, target))
        return heat**2 * functional.kl_div(student, teacher, log_target=True, reduction="none").sum(1).mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy per pixel of each picture."""
        entropy = functional.cross_entropy(
            _upsampled(outputs, targets), targets, ignore_index=NO_CLASS, reduction="none"
        )
        return entropy.sum((1, 2)) / (targets != NO_CLASS).sum((1, 2)).clamp(min=1)

    def scorer(self) -> Scorer:
        return _OverlapScorer(len(self.classes))


def _upsampled(outputs: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(outputs.float(), like.shape[1:], mode="bilinear")


class _OverlapScorer:
    """Gathers `Overlaps` of upsampled logits; the class with the largest is the answer."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._pixels: list[np.ndarray] = []  # per batch

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        answers, n, c = _upsampled(outputs, targets).argmax(1), len(targets), self._classes
        judged = targets != NO_CLASS
        picture = torch.arange(n, device=targets.device)[:, None, None].expand_as(targets)[judged]
        pairs = (picture * c + targets[judged]) * c + answers[judged]
        confusion = torch.bincount(pairs, minlength=n * c * c).view(n, c, c)
        both = confusion.diagonal(dim1=1, dim2=2)
        self._pixels.append(torch.stack([both, confusion.sum(1) + confusion.sum(2) - both], 1).cpu().numpy())

    def evidence(self) -> Overlaps:
        return Overlaps(np.concatenate(self._pixels))

    def compute(self) -> float:
        return self.evidence().value
