"""Pictures, masks and boxes moved and mirrored at random, alike."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moves", "moved", "random_moves"]

_SHOWS = 0.25  # share of a box that must stay in the picture; of what shows less no box is learned


@dataclass(frozen=True)
class Moves:
    """What happens to each picture of a batch.

    right, down: pixels its content moves by, at most `reach` (right, down). flips: whether it is mirrored, afterwards.
    """

    right: tuple[int, ...]
    down: tuple[int, ...]
    flips: tuple[bool, ...]
    reach: tuple[int, int]

    def maps(self, images: Tensor) -> Tensor:
        """Images or masks [n, c, height, width], moved and mirrored; edges are repeated where nothing was."""
        _, _, height, width = images.shape
        rows, columns = torch.arange(height), torch.arange(width)
        moved_images = []
        for image, x, y, flip in zip(images, self.right, self.down, self.flips, strict=True):
            across = (columns - x).clamp(0, width - 1)
            cut = image.index_select(1, (rows - y).clamp(0, height - 1))
            moved_images.append(cut.index_select(2, across.flip(0) if flip else across))
        return torch.stack(moved_images)

    def boxes(self, number: int, boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The boxes float32[k, 4] of a picture of (height, width), cut to it; and which of the k still show enough."""
        height, width = size
        offset = torch.tensor([self.right[number], self.down[number]] * 2, dtype=boxes.dtype)
        limit = torch.tensor([width, height] * 2, dtype=boxes.dtype)
        cut = (boxes + offset).clamp(min=0).minimum(limit)
        shows = _areas(cut) >= _SHOWS * _areas(boxes)
        if self.flips[number]:
            cut = torch.stack([width - cut[:, 2], cut[:, 1], width - cut[:, 0], cut[:, 3]], 1)
        return cut[shows], shows


def random_moves(n: int, size: tuple[int, int], shift: float, mirrors: bool, generator: torch.Generator) -> Moves:
    """Moves of n pictures of (height, width): by up to `shift` of their sides, half of them mirrored if they may be."""
    down, right = (max(1, round(shift * side)) for side in size) if shift else (0, 0)
    tops = torch.randint(0, 2 * down + 1, (n,), generator=generator)
    lefts = torch.randint(0, 2 * right + 1, (n,), generator=generator)
    flips = (torch.rand(n, generator=generator) < 0.5).tolist()
    return Moves(
        tuple((right - lefts).tolist()),
        tuple((down - tops).tolist()),
        tuple(mirrors and flip for flip in flips),
        (right, down),
    )


def moved(images: Tensor, shift: float, mirrors: bool, generator: torch.Generator) -> Tensor:
    """Each picture moved by up to `shift` of its sides, edges repeated, and mirrored half the time where it may be."""
    height, width = images.shape[2:]
    return random_moves(len(images), (height, width), shift, mirrors, generator).maps(images)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
