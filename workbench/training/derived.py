"""A task with another loss: what it asks, its pictures and its score are those of the task it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .evidence import Scorer
from .parts import Part
from .tasks import Task

__all__ = ["Derived"]


@dataclass(frozen=True)
class Derived(Task):
    """Everything is the task's own; kinds of it give another digest and another loss."""

    task: Task

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @property
    def head(self) -> str:
        return self.task.head

    @property
    def schedule(self) -> Mapping[str, Any]:
        return self.task.schedule

    @property
    def digest(self) -> str:
        return self.task.digest

    @property
    def metric(self) -> str:
        return self.task.metric

    @property
    def held_out(self) -> frozenset[Part]:
        return self.task.held_out

    def count(self, part: Part) -> int:
        return self.task.count(part)

    def batch(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Any]:
        return self.task.batch(part, rows, size)

    def varied(self, images: Tensor, targets: Any, generator: torch.Generator) -> tuple[Tensor, Any]:
        return self.task.varied(images, targets, generator)

    def check(self, outputs: Any, name: str) -> None:
        self.task.check(outputs, name)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        return self.task.loss(outputs, targets)

    def losses(self, outputs: Any, targets: Any) -> Tensor:
        return self.task.losses(outputs, targets)

    def distance(self, outputs: Any, teacher: Any) -> Tensor:
        return self.task.distance(outputs, teacher)

    def scorer(self) -> Scorer:
        return self.task.scorer()
