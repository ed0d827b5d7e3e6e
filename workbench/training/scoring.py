"""The score of a network, or of whatever answers like it, on a task's validation pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .tasks import Task

__all__ = ["Score", "logits", "prepared", "score", "score_with"]

_BATCH = 64
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Score:
    """value: of `metric`, 0 to 1. pictures: how many it is of. dtype: "float" or "int8"; what ran."""

    task: str
    metric: str
    value: float
    pictures: int
    dtype: str = "float"

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.task}: {self.metric} {self.value:.1%} of {self.pictures} pictures, {self.dtype}"


def score(module: nn.Module, task: Task, size: tuple[int, int, int]) -> Score:
    """The module's score in eval mode. size: (channels, height, width) it reads."""
    device = next(module.parameters()).device
    return score_with(lambda images: logits(module, prepared(images, size, module).to(device)), task, size)


def score_with(answer: Callable[[Tensor], Any], task: Task, size: tuple[int, int, int], dtype: str = "float") -> Score:
    """The score of whatever answers a batch of pictures, uint8[n, 3, height, width], as the network would."""
    metric = task.scorer()
    count = task.count("val")
    if not count:
        raise InputError(f"{task.name} has no pictures for validation, so nothing can be judged; add some")
    for start in range(0, count, _BATCH):
        images, targets = task.batch("val", np.arange(start, min(start + _BATCH, count)), size[1:])
        outputs = answer(images)
        metric.update(outputs, targets.to(outputs.device) if isinstance(targets, Tensor) else targets)
    return Score(task.name, task.metric, float(metric.compute()), count, dtype)


def logits(module: nn.Module, images: Tensor) -> Any:
    """The outputs in eval mode, no gradients; the mode is as before afterwards."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            return module(images)
    finally:
        module.train(training)


def prepared(images: Tensor, size: tuple[int, int, int], module: nn.Module) -> Tensor:
    """Pictures uint8[n, 3, h, w] as the module reads them: float, normalised as it says, with its channels."""
    config = getattr(module, "pretrained_cfg", None) or getattr(getattr(module, "backbone", None), "pretrained_cfg", {})
    statistics = config if isinstance(config, Mapping) else {}
    mean, std = (
        torch.tensor(list(statistics.get(key) or default), dtype=torch.float32)
        for key, default in zip(("mean", "std"), _IMAGENET, strict=True)
    )
    channels = size[0]
    pictures = images / 255
    if channels == 3:
        return pictures.sub_(mean.view(-1, 1, 1)[:3]).div_(std.view(-1, 1, 1)[:3])
    # other sensors: the grey picture, as Pillow and OpenCV make it, on every channel
    grey = (pictures * torch.tensor(_LUMA).view(-1, 1, 1)).sum(1, keepdim=True).expand(-1, channels, -1, -1)
    return (grey - mean.mean()) / std.mean()
