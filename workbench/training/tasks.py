"""What a network is to learn: pictures, what is to be said of them, the loss and the score.

A task is a frozen value. A new kind of task is one more class with the same members, as in `detection.py` and
`segmentation.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .moving import moved
from .sources import Labelled, Split

__all__ = ["Classification", "Task"]


class Task(ABC):
    """Data with a question: `training.fit` learns it, `training.score` judges it."""

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
    def count(self, split: Split) -> int:
        """How many pictures there are."""

    @abstractmethod
    def batch(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Any]:
        """Pictures uint8[n, 3, height, width] and what is to be said of them."""

    @abstractmethod
    def varied(self, images: Tensor, targets: Any, generator: torch.Generator) -> tuple[Tensor, Any]:
        """The same, moved and mirrored at random, as far as the question allows."""

    @abstractmethod
    def check(self, outputs: Any, name: str) -> None:
        """Raise InputError where the outputs of `name` (any batch) cannot answer the question."""

    @abstractmethod
    def loss(self, outputs: Any, targets: Any) -> Tensor: ...

    @abstractmethod
    def distance(self, outputs: Any, teacher: Any) -> Tensor:
        """How far the outputs are from a teacher's, in the loss's unit."""

    @abstractmethod
    def scorer(self) -> Any:
        """A torchmetrics metric of (outputs, targets)."""


@dataclass(frozen=True)
class Classification(Task):
    """One label per picture; the network's outputs are logits [n, classes] (more outputs are never right).

    smoothing: of the labels. shift: pictures are moved by up to this share of their sides.

    >>> from workbench.training.sources import Digits
    >>> Classification("digits", Digits()).classes[:3]
    ('0', '1', '2')
    """

    label: str
    source: Labelled
    smoothing: float = 0.1
    shift: float = 0.125

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

    def count(self, split: Split) -> int:
        return len(self.source.labels(split))

    def batch(self, split: Split, which: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        labels = torch.from_numpy(self.source.labels(split)[which])
        return self.source.pictures(split, which, size), labels

    def varied(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return moved(images, self.shift, self.source.mirrors, generator), targets

    def check(self, outputs: Any, name: str) -> None:
        shape = tuple(getattr(outputs, "shape", ()))
        if len(shape) != 2 or shape[1] < len(self.classes):
            found = f"{shape[1]} outputs" if len(shape) == 2 else f"outputs of shape {shape}"
            raise InputError(
                f"{name} has {found}, and {self.name} needs {len(self.classes)}, one a class; "
                f"open(..., task={self.name!r}) gives it a head that fits"
            )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=self.smoothing)

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the softened outputs (Hinton et al. 2015, temperature 2)."""
        heat = 2.0
        log_student, log_teacher = (nn.functional.log_softmax(o / heat, 1) for o in (outputs, teacher))
        return heat**2 * nn.functional.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")

    def scorer(self) -> Any:
        return _Top1()


class _Top1:
    """torchmetrics' accuracy, told the number of outputs by the first batch."""

    def __init__(self) -> None:
        self._metric: Any = None

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        from torchmetrics.classification import MulticlassAccuracy

        if self._metric is None:
            self._metric = MulticlassAccuracy(outputs.shape[1], average="micro").to(outputs.device)
        self._metric.update(outputs, targets)

    def compute(self) -> float:
        return float(self._metric.compute())
