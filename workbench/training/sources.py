"""Where pictures come from: a source hands out pictures by number, with the label, boxes or mask of each.

Pictures are made at the size a network reads, when it reads them. Every source is a frozen value with a digest of what
it holds, so that a training can be found again by what it was trained on.
"""

from typing import Protocol

import numpy as np
import torch
from torch import nn

from .parts import Part

__all__ = ["NO_CLASS", "Boxed", "Labelled", "LabelledBoxes", "Masked", "nearest", "resized"]

LabelledBoxes = tuple[np.ndarray, np.ndarray]  # boxes float32[k, 4]: left, top, right, bottom; labels int64[k]
NO_CLASS = 255  # in masks: pixels that nothing learns from and nothing judges


class _Pictures(Protocol):
    """Pictures by number, and the classes of their labels."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def digest(self) -> str:
        """16 hex digits of all pictures and their labels."""
        ...

    @property
    def mirrors(self) -> bool:
        """Whether a picture's mirror image shows the same classes."""
        ...

    @property
    def held_out(self) -> frozenset[Part]:
        """The parts that a rule holds out, as the data does not name them."""
        ...

    def count(self, part: Part) -> int:
        """How many pictures a part has; none are made for it."""
        ...

    def pictures(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """uint8[len(rows), 3, height, width]."""
        ...


class Labelled(_Pictures, Protocol):
    """Pictures with one label each; an index into `classes`."""

    def labels(self, part: Part) -> np.ndarray:
        """int64[n]."""
        ...


class Boxed(_Pictures, Protocol):
    """Pictures with boxes; labels are indices into `classes`."""

    def boxes(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> list[LabelledBoxes]:
        """Of each picture, in pixels of a picture of (height, width)."""
        ...


class Masked(_Pictures, Protocol):
    """Pictures with a class for every pixel; an index into `classes`, or NO_CLASS."""

    def masks(self, part: Part, rows: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """uint8[len(rows), height, width]."""
        ...


def resized(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8[n, 3, h, w] at another (height, width)."""
    if tuple(pictures.shape[2:]) == tuple(size):
        return pictures
    new = nn.functional.interpolate(pictures.float(), size, mode="bilinear", antialias=True)
    return new.round().clamp(0, 255).to(torch.uint8)


def nearest(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8[n, h, w] at another (height, width); no value is new."""
    if tuple(masks.shape[1:]) == tuple(size):
        return masks
    return nn.functional.interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].to(torch.uint8)
