"""Where what is: boxes and their classes."""

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
from .boxes import BoxTargets, boxes_at, encoded
from .evidence import Scorer
from .heads import DETECTOR_STRIDE
from .matches import MatchScorer
from .parts import Part
from .sources import Boxed
from .tasks import Task, check_part

__all__ = ["Detection"]

_BOXES = 5.0  # weight of the boxes' loss beside the heat's
_SEES = 0.1  # heat from which on a teacher sees something


@dataclass(frozen=True)
class Detection(Task):
    """Boxes of things; the network's output is a map [n, classes + 4, height / stride, width / stride] (`boxes.py`).

    shift: pictures are moved by up to this share of their sides. stride: pixels per cell of the map.

    >>> from workbench.training.embedded import RoomBoxes
    >>> Detection("rooms/detection", RoomBoxes()).classes[:2]
    ('person', 'chair')
    """

    label: str
    source: Boxed
    shift: float = 0.125
    stride: int = DETECTOR_STRIDE
    folder: Path | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.label

    @property
    def head(self) -> str:
        return "detection"

    @property
    def schedule(self) -> Mapping[str, Any]:
        return {"batch_size": 16, "learning_rate": 5e-3}  # every picture has many answers; steps are what is short

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def digest(self) -> str:
        return f"{self.source.digest}-boxes-{self.shift:g}-{self.stride}"

    @property
    def metric(self) -> str:
        return "mAP (IoU 0.50 to 0.95)"

    def count(self, part: Part) -> int:
        return self.source.count(part)

    @property
    def held_out(self) -> frozenset[Part]:
        return self.source.held_out

    def batch(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, BoxTargets]:
        check_part(self.name, part, self.count(part))
        targets = [tuple(map(torch.from_numpy, pair)) for pair in self.source.boxes(part, rows, size)]
        return self.source.pictures(part, rows, size), targets

    def varied(self, images: Tensor, targets: BoxTargets, generator: torch.Generator) -> tuple[Tensor, BoxTargets]:
        height, width = images.shape[2:]
        moves = random_moves(len(images), (height, width), self.shift, self.source.mirrors, generator)
        moved_targets = []
        for i, (boxes, labels) in enumerate(targets):
            moved_boxes, shows = moves.boxes(i, boxes, (height, width))
            moved_targets.append((moved_boxes, labels[shows]))
        return moves.maps(images), moved_targets

    def check(self, outputs: Any, name: str) -> None:
        shape, channels = tuple(getattr(outputs, "shape", ())), len(self.classes) + 4
        if len(shape) != 4 or shape[1] != channels:
            raise InputError(
                f"{name} has outputs of shape {shape}, and {self.name} needs a map of {channels} channels, one a class "
                f"and four of the box; open(..., task={self.name!r}) gives it a head that fits"
            )

    def loss(self, outputs: Tensor, targets: BoxTargets) -> Tensor:
        """Focal loss of the heat (Law and Deng 2018, CornerNet, equation 1), generalised IoU of the boxes (Rezatofighi
        et al. 2019); both per box.
        """
        return self._summed_losses(outputs, targets).sum() / max(1, sum(len(labels) for _, labels in targets))

    def losses(self, outputs: Tensor, targets: BoxTargets) -> Tensor:
        """The loss of each picture by itself, per box it has."""
        counts = torch.tensor([max(1, len(labels)) for _, labels in targets])
        return self._summed_losses(outputs.cpu(), targets) / counts

    def _summed_losses(self, outputs: Tensor, targets: BoxTargets) -> Tensor:
        """Of each picture, summed over its boxes."""
        rows, columns = outputs.shape[2:]
        heat, boxes, share = encoded(targets, len(self.classes), (rows, columns), self.stride)
        logits, predicted = self._parts(outputs)
        centres = heat == 1
        p = logits.sigmoid()
        misses = functional.logsigmoid(logits) * (1 - p) ** 2 * centres
        false_alarms = functional.logsigmoid(-logits) * p**2 * (1 - heat) ** 4 * ~centres
        return _BOXES * _box_losses(predicted, boxes, share) - (misses + false_alarms).sum((1, 2, 3))

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Of the heat by cross-entropy where it differs (Li et al. 2020, Generalized Focal Loss, equation 4), of the
        boxes by generalised IoU where the teacher sees something; both per thing it sees.
        """
        logits, predicted = self._parts(outputs)
        teacher_logits, teacher_boxes = self._parts(teacher)
        heat = teacher_logits.sigmoid()
        focus = (logits.sigmoid() - heat) ** 2
        heat_loss = focus * functional.binary_cross_entropy_with_logits(logits, heat, reduction="none")
        hottest = heat.amax(1)
        box_losses = _box_losses(predicted, teacher_boxes, hottest * (hottest > _SEES))
        return (heat_loss.sum() + _BOXES * box_losses.sum()) / heat.sum().clamp(min=1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the heat [n, classes, rows, columns], boxes [n, 4, rows, columns] in pixels."""
        classes = len(self.classes)
        return outputs[:, :classes].float(), boxes_at(outputs[:, classes:].float(), self.stride)

    def scorer(self) -> Scorer:
        return MatchScorer(len(self.classes), self.stride)


def _box_losses(predicted: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """1 - generalised IoU of boxes [n, 4, rows, columns], summed by each cell's share [n, rows, columns] to [n]."""
    from torchvision.ops import generalized_box_iou_loss

    cells = share > 0
    pairs = (boxes.movedim(1, -1)[cells] for boxes in (predicted, target))
    of_cells = generalized_box_iou_loss(*pairs) * share[cells]
    return share.new_zeros(share.shape).masked_scatter(cells, of_cells).sum((1, 2))
