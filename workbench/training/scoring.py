"""The score of a network, or of whatever answers like it, on a part of a task's pictures."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .evidence import Means
from .parts import Part
from .scores import Score
from .tasks import Task, check_part

__all__ = ["logits", "prepared", "score", "score_with", "training_pictures"]

_BATCH = 64
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def score(module: nn.Module, task: Task, size: tuple[int, int, int], part: Part = "val") -> Score:
    """The module's score in eval mode. size: (channels, height, width) it reads. part: "val" or "test"."""
    device = next(module.parameters()).device
    return score_with(lambda images: logits(module, prepared(images, size, module).to(device)), task, size, part=part)


def score_with(
    answer: Callable[[Tensor], Any],
    task: Task,
    size: tuple[int, int, int],
    dtype: str = "float",
    part: Part = "val",
) -> Score:
    """The score of whatever answers a batch of pictures, uint8[n, 3, height, width], as the network would.

    Raises InputError for a part that the task does not have.
    """
    count = task.count(part)
    if not count and part == "val":
        raise InputError(f"{task.name} has no pictures for validation, so nothing can be judged; add some")
    check_part(task.name, part, count)
    metric, losses = task.scorer(), []
    for start in range(0, count, _BATCH):
        images, targets = task.batch(part, np.arange(start, min(start + _BATCH, count)), size[1:])
        outputs = answer(images)
        targets = targets.to(outputs.device) if isinstance(targets, Tensor) else targets
        metric.update(outputs, targets)
        losses.append(task.losses(outputs, targets).float().cpu().numpy())
    evidence = metric.evidence()
    return Score(
        task.name, task.metric, evidence.value, count, dtype, part, task.digest, part in task.held_out, evidence,
        Means(np.concatenate(losses)),
    )  # fmt: skip


def logits(module: nn.Module, images: Tensor) -> Any:
    """The outputs in eval mode, no gradients; the mode is as before afterwards."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            return module(images)
    finally:
        module.train(training)


def training_pictures(task: Task, size: tuple[int, int, int], module: nn.Module, count: int) -> Tensor:
    """Pictures that the task trains on as the module reads them, at most `count`, spread over all; no labels."""
    total = task.count("train")
    rows = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    pictures, _ = task.batch("train", rows, size[1:])
    return prepared(pictures, size, module)


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
