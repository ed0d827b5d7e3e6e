"""Images that callers give: whether the network reads them, and whether they are pictures of anything."""

import warnings
from typing import Any

import torch

from ..errors import InputError, NoiseWarning

__all__ = ["Images", "check_images"]

Images = torch.Tensor  # [N, channels, height, width], as a network reads them

_ALIKE = 0.1  # correlation of neighbouring pixels: pictures have 0.5 and more, even small ones; random numbers none
_LEAST = 8  # pixels a side; smaller ones say nothing


def check_images(images: Any, what: str, size: tuple[int, int, int] | None) -> None:
    """Raise InputError where these are no images [N, channels, height, width] of that size.

    what: what they are for. Of "calibration" ones that look like random numbers a NoiseWarning is given: blocks fitted
    to noise, its batch-norm statistics and its int8 ranges are wrong for every picture.
    """
    shape = tuple(getattr(images, "shape", ()))
    if size is not None and (len(shape) != 4 or shape[1:] != size or not shape[0]):
        shapes = ", ".join(map(str, size))
        raise InputError(f"{what} of shape {shape or type(images).__name__}: they must be a tensor [N, {shapes}]")
    if what != "calibration" or len(shape) != 4 or min(shape[2:]) < _LEAST:
        return
    alike = _correlation(images)
    if alike is not None and abs(alike) < _ALIKE:
        warnings.warn(
            f"the calibration images look like random numbers (neighbouring pixels correlate by {alike:.2f}): what is "
            f"fitted to them is wrong for pictures; give images of the task",
            NoiseWarning,
            stacklevel=4,
        )


def _correlation(images: torch.Tensor) -> float | None:
    """Of each pixel with its right neighbour, about every channel's mean; None of images of one colour."""
    values = images.detach().float()
    values = values - values.mean((2, 3), keepdim=True)
    power = float(values.square().mean())
    return float((values[..., 1:] * values[..., :-1]).mean()) / power if power > 1e-12 else None
