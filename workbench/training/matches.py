"""Mean average precision of any resample of pictures, from which detections meet which boxes (COCO's rules).

    n, c, d        pictures, classes, detections of all pictures
    THRESHOLDS     of the overlap (IoU) from which on a detection is right, 0.50 to 0.95
    right          bool[d, 10], whether a detection is right at each threshold: the surest of those that overlap a box
                   enough has it, each box once (Lin et al. 2014, Microsoft COCO; pycocotools' `evaluateImg`)

Which boxes a detection meets is a question of its own picture alone; only how detections of all pictures rank beside
each other changes with the pictures drawn. So pictures are matched once, and a resample is some sums over detections in
the order of their scores.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .boxes import BoxTargets, decoded
from .evidence import Evidence
from .resampling import Interval, bootstrap

__all__ = ["MatchScorer", "Matches", "right_at"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = 100  # the precision is read at 0, 1/100, ..., 1
_AT_ONCE = 1 << 17  # entries of an array


class ClassMatches(NamedTuple):
    """Detections of one class, in the order of falling scores. picture: int32[d]. right: bool[d, 10]."""

    picture: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Matches(Evidence):
    """boxes: int32[n, c], how many of each class a picture has. classes: the detections of each class."""

    boxes: np.ndarray
    classes: tuple[ClassMatches, ...]

    @property
    def pictures(self) -> int:
        return len(self.boxes)

    def values(self, times: np.ndarray) -> np.ndarray:
        boxes = times @ self.boxes.astype(np.int64)  # [r, c]
        precisions = np.stack([_average_precisions(rows, times, boxes[:, i]) for i, rows in enumerate(self.classes)], 1)
        shown = boxes > 0
        means: np.ndarray = (precisions * shown).sum(1) / np.maximum(shown.sum(1), 1)
        return means

    def interval(self) -> Interval:
        return bootstrap(self.values, self.pictures)

    def difference_interval(self, other: "Matches") -> Interval:
        return bootstrap(lambda times: self.values(times) - other.values(times), self.pictures)


def _average_precisions(matches: ClassMatches, times: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """float[r]: the mean over thresholds of the precision at 101 recalls. boxes: int[r], how many there are to find."""
    # precision rises at right detections alone, so it is asked for nowhere else
    places = np.flatnonzero(matches.right.any(1))
    right = matches.right[places].T.astype(np.float32)  # [10, places]
    means = np.zeros(len(times))
    rows = max(1, _AT_ONCE // max(1, len(matches.picture), len(places) * len(THRESHOLDS)))
    for start in range(0, len(times) if len(places) else 0, rows):
        part = slice(start, start + rows)
        weights = times[part].astype(np.float32)[:, matches.picture]  # [rows, d]; whole numbers, which are exact
        ranks = np.maximum(weights.cumsum(1)[:, places], 1)
        rights = (weights[:, None, places] * right).cumsum(2)  # [rows, 10, places]
        precision = rights / ranks[:, None]
        highest = np.maximum.accumulate(precision[..., ::-1], 2)[..., ::-1]  # at this recall or more
        # how many of the recalls 0, 1/100, ..., 1 are reached at each place; the quotient of whole numbers that divide
        # each other is whole
        reached = 1 + np.floor(rights * _RECALLS / np.maximum(boxes[part], 1)[:, None, None])
        fresh = np.diff(reached, axis=2, prepend=0)
        means[part] = np.einsum("rtp,rtp->r", highest, fresh) / ((1 + _RECALLS) * len(THRESHOLDS))
    return means


def right_at(boxes: Tensor, truths: Tensor) -> np.ndarray:
    """bool[k, 10]: whether each of the boxes [k, 4], the surest first, is right, where truths [m, 4] are of its class.

    A detection takes the box it overlaps most of those that no surer one has taken, of equals the last.
    """
    from torchvision.ops import box_iou

    right = np.zeros((len(boxes), len(THRESHOLDS)), bool)
    if not len(boxes) or not len(truths):
        return right
    overlaps = box_iou(boxes.double(), truths.double()).numpy()
    taken = np.zeros((len(THRESHOLDS), len(truths)), bool)
    rows = np.arange(len(THRESHOLDS))
    for i in np.flatnonzero(overlaps.max(1) >= THRESHOLDS[0]):
        free = np.where(taken, -1.0, overlaps[i])
        best = len(truths) - 1 - free[:, ::-1].argmax(1)
        right[i] = free[rows, best] >= THRESHOLDS
        taken[rows[right[i]], best[right[i]]] = True
    return right


class MatchScorer:
    """Gathers `Matches` of the boxes that maps are read as. classes: how many there are."""

    def __init__(self, classes: int, stride: int) -> None:
        self._classes, self._stride = classes, stride
        self._boxes: list[np.ndarray] = []  # per picture, [c]
        self._scores: list[np.ndarray] = []  # per picture, as the next two
        self._labels: list[np.ndarray] = []
        self._right: list[np.ndarray] = []

    def update(self, outputs: Tensor, targets: BoxTargets) -> None:
        for output, (truths, truth_labels) in zip(outputs.cpu(), targets, strict=True):
            boxes, scores, labels = decoded(output, self._stride)
            right = np.zeros((len(labels), len(THRESHOLDS)), bool)
            for label in truth_labels.unique():
                own = labels == label
                right[own.numpy()] = right_at(boxes[own], truths[truth_labels == label])
            self._boxes.append(torch.bincount(truth_labels, minlength=self._classes).numpy())
            self._scores.append(scores.numpy())
            self._labels.append(labels.numpy())
            self._right.append(right)

    def evidence(self) -> Matches:
        lengths = [len(labels) for labels in self._labels]
        picture = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        scores, labels, right = (np.concatenate(rows) for rows in (self._scores, self._labels, self._right))
        order = np.argsort(-scores, kind="stable")
        picture, labels, right = picture[order], labels[order], right[order]
        classes = []
        for label in range(self._classes):
            own = np.flatnonzero(labels == label)
            # nothing reads a precision behind the last right detection
            last = np.flatnonzero(right[own].any(1))[-1:] + 1
            own = own[: int(last[0]) if len(last) else 0]
            classes.append(ClassMatches(picture[own], right[own]))
        return Matches(np.stack(self._boxes).astype(np.int32), tuple(classes))

    def compute(self) -> float:
        return self.evidence().value
