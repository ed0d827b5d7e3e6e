"""Boxes and the map a detector makes of them (`heads.Detector`).

    boxes     float32[k, 4]: left, top, right, bottom, in pixels of the picture as the network reads it
    labels    int64[k]: indices into the classes
    map       [classes + 4, rows, columns], a cell covers stride x stride pixels
    heat      the first channels, as logits: 1 in the cell a box of the class has its centre in, falling off around it
    shape     the last four, (dx, dy, log w, log h) in cells: from the cell's centre to the box's, and the box's size.
              Any box can be written so, those smaller than a cell too, and all numbers lie in one range with the
              logits: one scale serves the map when it is int8

Zhou et al. 2019, Objects as Points: heat, offset and size in the cell of the centre. Liu et al. 2020, Training-Time-
Friendly Network: cells around the centre learn the box, too, by their share of a Gaussian of the box's proportions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["BoxMaps", "BoxTargets", "boxes_at", "decoded", "encoded"]

BoxTargets = Sequence[Sequence[Tensor]]  # per picture: boxes, labels

_SPREAD = 0.54 / 6  # standard deviation of the Gaussian over the box's side (Liu et al. 2020)
_NEAR = 0.05  # of the Gaussian: cells with less do not learn the box
_LARGEST = 6.0  # log of cells; keeps exp finite while nothing is learned yet


class BoxMaps(NamedTuple):
    """What the maps of n pictures are to be: heat [n, classes, rows, columns], 0 to 1; boxes [n, 4, rows, columns], in
    pixels; and by how much each cell learns its box, share [n, rows, columns], which sums to 1 over a box alone.
    """

    heat: Tensor
    boxes: Tensor
    share: Tensor


def encoded(targets: BoxTargets, classes: int, grid: tuple[int, int], stride: int) -> BoxMaps:
    """The maps to be learned from each picture's boxes and labels; where two boxes claim a cell the smaller one has it
    (Tian et al. 2019, FCOS).
    """
    rows, columns = grid
    boxes, labels = (torch.cat([target[column] for target in targets]) for column in (0, 1))
    picture = torch.repeat_interleave(torch.tensor([len(target[1]) for target in targets])).to(labels.device)
    sides = (boxes[:, 2:] - boxes[:, :2]) / stride
    order = sides.prod(1).argsort(stable=True)  # from here on a box's number is its rank, the smallest first
    boxes, labels, picture, sides = boxes[order], labels[order], picture[order], sides[order]
    x, y = torch.arange(columns, device=boxes.device), torch.arange(rows, device=boxes.device)[:, None]
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).floor().clamp(min=0)
    column, row = centres[:, 0].clamp(max=columns - 1), centres[:, 1].clamp(max=rows - 1)
    width, height = sides[:, 0, None, None], sides[:, 1, None, None]
    far = ((x - column[:, None, None]) / width) ** 2 + ((y - row[:, None, None]) / height) ** 2
    gaussian = torch.exp(-far / (2 * _SPREAD**2))  # [boxes, rows, columns]
    heat = _gathered(
        boxes.new_zeros(len(targets) * classes, rows, columns), picture * classes + labels, gaussian, "amax"
    )
    near = gaussian * (gaussian > _NEAR)
    share = near / near.sum((1, 2), keepdim=True)
    no_box, rank = len(boxes), torch.arange(len(boxes), device=boxes.device)[:, None, None]
    nobody = torch.full((len(targets), rows, columns), no_box, device=boxes.device)
    owner = _gathered(nobody, picture, torch.where(near > 0, rank, no_box), "amin")
    # one more box, for the cells nobody owns
    boxes, share = torch.cat([boxes, boxes.new_zeros(1, 4)]), torch.cat([share, share.new_zeros(1, rows, columns)])
    mine = share.flatten(1).gather(0, owner.flatten(1)).view_as(owner)
    return BoxMaps(heat.view(len(targets), classes, rows, columns), boxes[owner].movedim(-1, 1), mine)


def _gathered(into: Tensor, places: Tensor, values: Tensor, how: str) -> Tensor:
    """Values [k, rows, columns] reduced into the rows `places` [k] of a tensor."""
    return into.scatter_reduce(0, places[:, None, None].expand_as(values), values, how)


def boxes_at(shape: Tensor, stride: int) -> Tensor:
    """[..., 4, rows, columns] as a map writes boxes -> the same in pixels: left, top, right, bottom."""
    rows, columns = shape.shape[-2:]
    x = torch.arange(columns, device=shape.device) + 0.5
    y = torch.arange(rows, device=shape.device)[:, None] + 0.5
    dx, dy, w, h = shape.unbind(-3)
    w, h = (side.clamp(-_LARGEST, _LARGEST).exp() / 2 for side in (w, h))
    return torch.stack([x + dx - w, y + dy - h, x + dx + w, y + dy + h], -3) * stride


def decoded(
    map_: Tensor, stride: int, top: int = 100, least: float = 0.01, overlap: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """One picture's map -> boxes, scores (0 to 1, falling) and labels of what is seen in it.

    Cells hotter than their eight neighbours count, the `top` hottest of them above `least`; of two boxes of a class
    that overlap by more than `overlap` (IoU) the hotter one stays.
    """
    from torchvision.ops import batched_nms

    classes, (rows, columns) = len(map_) - 4, map_.shape[1:]
    heat = map_[:classes].float().sigmoid()
    peaks = heat * (heat == torch.nn.functional.max_pool2d(heat[None], 3, 1, 1)[0])
    scores, cells = peaks.flatten().topk(min(top, peaks.numel()))
    scores, cells = scores[scores > least], cells[scores > least]
    labels, places = cells // (rows * columns), cells % (rows * columns)
    boxes = boxes_at(map_[classes:].float(), stride).flatten(1)[:, places].T
    limit = torch.tensor([columns, rows] * 2, device=boxes.device) * stride
    boxes = boxes.clamp(min=0).minimum(limit)
    kept = batched_nms(boxes, scores, labels, overlap)
    return boxes[kept], scores[kept], labels[kept]
