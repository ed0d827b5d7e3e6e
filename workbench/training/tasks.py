"""What a network is to learn: pictures with their labels, the loss and the score.

A task is a frozen value. A new kind of task is one more class with the same members, as in `detection.py` and
`segmentation.py`.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, unknown
from .augmentation import moved
from .evidence import Hits, Scorer
from .parts import PARTS, Part
from .sources import Labelled

__all__ = ["Classification", "Task", "check_part"]


def check_part(name: str, part: Part, count: int) -> None:
    """Raise InputError where the task `name` has no such part."""
    if part not in PARTS:
        raise unknown("part", part, PARTS)
    if not count:
        raise InputError(f"{name} has no {part} part; a folder {part} beside train gives it one")


class Task(ABC):
    """Data with a question: `training.fit` learns it, `training.score` judges it.

    folder: that it was read from; None where it was not read from one.
    """

    folder: Path | None = None

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def head(self) -> str:
        """The head a timm backbone needs: a key of `heads.HEADS`, or "classification" for timm's own."""

    @property
    @abstractmethod
    def schedule(self) -> Mapping[str, Any]:
        """Options of `Schedule` that suit the question, where the caller names none."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """16 hex digits of the data and the question."""

    @property
    @abstractmethod
    def metric(self) -> str:
        """The score's name; it lies between 0 and 1, more is better."""

    @abstractmethod
    def count(self, part: Part) -> int:
        """How many pictures a part has; 0 where the data has no such part."""

    @property
    @abstractmethod
    def held_out(self) -> frozenset[Part]:
        """The parts that a rule holds out of the pictures to learn from, as the data does not name them."""

    @abstractmethod
    def batch(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Any]:
        """Pictures uint8[n, 3, height, width] and their labels, boxes or masks. rows: int[n], numbers in the part.

        Raises InputError for a part that the data does not have.
        """

    @abstractmethod
    def varied(self, images: Tensor, targets: Any, generator: torch.Generator) -> tuple[Tensor, Any]:
        """The same, moved and mirrored at random, as far as the question allows."""

    @abstractmethod
    def check(self, outputs: Any, name: str) -> None:
        """Raise InputError where the outputs of `name` (any batch) cannot answer the question; warn where some of them
        never do.
        """

    @abstractmethod
    def loss(self, outputs: Any, targets: Any) -> Tensor: ...

    @abstractmethod
    def distance(self, outputs: Any, teacher: Any) -> Tensor:
        """How far the outputs are from a teacher's, in the loss's unit."""

    def distances(self, outputs: Any, teacher: Any) -> Tensor:
        """The distance of each picture by itself, float[n]."""
        pairs = zip(outputs, teacher, strict=True)
        return torch.stack([self.distance(output[None], other[None]) for output, other in pairs])

    @abstractmethod
    def losses(self, outputs: Any, targets: Any) -> Tensor:
        """How wrong the outputs are for each picture, float[n]: cross-entropy where there is one. Smoother than the
        score, which counts what is right and is blind to by how much.
        """

    @abstractmethod
    def scorer(self) -> Scorer:
        """What gathers the score of (outputs, targets), batch by batch."""


@dataclass(frozen=True)
class Classification(Task):
    """One label per picture; the network's outputs are logits [n, classes] (more outputs are never right).

    smoothing: of the labels. shift: pictures are moved by up to this share of their sides.

    >>> from workbench.training.embedded import Digits
    >>> Classification("digits", Digits()).classes[:3]
    ('0', '1', '2')
    """

    label: str
    source: Labelled
    smoothing: float = 0.1
    shift: float = 0.125
    folder: Path | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.label

    @property
    def head(self) -> str:
        return "classification"

    @property
    def schedule(self) -> Mapping[str, Any]:
        return {}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def digest(self) -> str:
        return f"{self.source.digest}-{self.smoothing:g}-{self.shift:g}"

    @property
    def metric(self) -> str:
        return "top-1 accuracy"

    def count(self, part: Part) -> int:
        return self.source.count(part)

    @property
    def held_out(self) -> frozenset[Part]:
        return self.source.held_out

    def batch(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        check_part(self.name, part, self.count(part))
        return self.source.pictures(part, rows, size), torch.from_numpy(self.source.labels(part)[rows])

    def varied(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return moved(images, self.shift, self.source.mirrors, generator), targets

    def check(self, outputs: Any, name: str) -> None:
        shape = tuple(getattr(outputs, "shape", ()))
        if len(shape) != 2 or shape[1] < len(self.classes):
            form = f"{shape[1]} outputs" if len(shape) == 2 else f"outputs of shape {shape}"
            raise InputError(
                f"{name} has {form}, and {self.name} needs {len(self.classes)}, one a class; "
                f"open(..., task={self.name!r}) gives it a head that fits"
            )
        if (more := shape[1] - len(self.classes)) > 0:
            warnings.warn(
                f"{name} has {shape[1]} outputs, and {self.name} has {len(self.classes)} classes, so the last {more} "
                f"are never right; open(..., task={self.name!r}) gives it a head that fits",
                stacklevel=2,
            )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=self.smoothing)

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the softened outputs (Hinton et al. 2015, temperature 2)."""
        heat = 2.0
        log_student, log_teacher = (nn.functional.log_softmax(o / heat, 1) for o in (outputs, teacher))
        return heat**2 * nn.functional.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, in nats; no label is smoothed."""
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    def scorer(self) -> Scorer:
        return _HitScorer()


class _HitScorer:
    """Gathers `Hits`: the class with the largest logit is the answer."""

    def __init__(self) -> None:
        self._right: list[np.ndarray] = []  # per batch

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self._right.append((outputs.argmax(1) == targets).cpu().numpy())

    def evidence(self) -> Hits:
        return Hits(np.concatenate(self._right))

    def compute(self) -> float:
        return self.evidence().value
