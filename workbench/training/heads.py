"""Small heads for timm backbones, in layers that accelerators take: dense convolutions, batch norm, ReLU, nearest
upsampling. One picture in, one map out.

    stride   pixels of the picture per cell of a map
    taps     the backbone's maps that are read, one per stride, fine to coarse

Top-down fusion as in Lin et al. 2017, Feature Pyramid Networks: every tap through a 1x1 convolution to one common
width, the coarser ones upsampled and added to the finer. One fused map feeds the head; more levels would be more
outputs, and deployed files have one.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError

__all__ = ["DETECTOR_STRIDE", "HEADS", "Detector", "Segmenter"]

DETECTOR_STRIDE = 8
_SEGMENTER_STRIDE = 4
_COARSEST = 32
_PRIOR = 0.02  # share of cells taken for a thing before anything is learned (Lin et al. 2017, Focal Loss, 4.1)
_CELLS = 3.0  # a side of a box, in cells, before anything is learned


class Detector(nn.Module):
    """Boxes without anchors: Tensor[n, classes + 4, h / 8, w / 8].

    The first channels are logits of a heat map per class, the last four the box (Zhou et al. 2019, Objects as Points);
    `boxes.py` says how, and makes boxes of them.

    >>> import timm
    >>> Detector(timm.create_model("mobilenetv2_050"), classes=6).eval()(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 10, 8, 12])
    """

    def __init__(self, backbone: nn.Module, classes: int, width: int = 64) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = _Fusion(backbone, DETECTOR_STRIDE, width)
        self.tower = _layer(width, width, 3)
        self.head = nn.Conv2d(width, classes + 4, 1)
        with torch.no_grad():
            self.head.weight.normal_(0, 0.01)
            assert self.head.bias is not None
            self.head.bias.zero_()
            self.head.bias[:classes] = -log((1 - _PRIOR) / _PRIOR)
            self.head.bias[-2:] = log(_CELLS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tower(self.neck(_maps(self.backbone, self.neck, x))))


class Segmenter(nn.Module):
    """Logits of a class per cell: Tensor[n, classes, h / 4, w / 4]; whoever judges them upsamples them.

    >>> import timm
    >>> Segmenter(timm.create_model("mobilenetv2_050"), classes=8).eval()(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 8, 16, 24])
    """

    def __init__(self, backbone: nn.Module, classes: int, width: int = 48) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = _Fusion(backbone, _SEGMENTER_STRIDE, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.neck(_maps(self.backbone, self.neck, x)))


HEADS: Mapping[str, Any] = {"detection": Detector, "segmentation": Segmenter}  # (backbone, classes) -> module


class _Fusion(nn.Module):
    """The taps of a backbone as one map of `width` channels at `stride`. Cuts off what the taps do not need."""

    def __init__(self, backbone: nn.Module, stride: int, width: int) -> None:
        super().__init__()
        rows = _taps_of(backbone, stride)
        # taken from the front, so the indices stay right after the pruning
        self.taps = tuple(backbone.prune_intermediate_layers([i for i, _ in rows], prune_norm=True))  # type: ignore[operator]
        self.lateral = nn.ModuleList([_layer(row["num_chs"], width, 1) for _, row in rows])
        self.finer = rows[0][1]["reduction"] // stride  # 2, say, where the backbone's finest map is at twice the stride
        self.smooth = _layer(width, width, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        fused = self.lateral[-1](maps[-1])
        for lateral, tap in zip(reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True):
            fused = lateral(tap) + nn.functional.interpolate(fused, tap.shape[2:], mode="nearest")
        if self.finer > 1:
            fused = nn.functional.interpolate(fused, scale_factor=self.finer, mode="nearest")
        return self.smooth(fused)


def _maps(backbone: Any, neck: _Fusion, x: Tensor) -> list[Tensor]:
    return backbone.forward_intermediates(x, indices=list(neck.taps), output_fmt="NCHW", intermediates_only=True)


def _taps_of(backbone: Any, stride: int) -> list[tuple[int, dict[str, Any]]]:
    """The last map of each stride from `stride` to 32: index in the backbone's `feature_info`, and its row there."""
    name = type(backbone).__name__
    if not hasattr(backbone, "forward_intermediates") or not hasattr(backbone, "prune_intermediate_layers"):
        raise InputError(f"{name} does not hand out its intermediate maps (timm's forward_intermediates); no head fits")
    info = backbone.feature_info
    rows = list(enumerate(getattr(info, "info", info)))
    last = {row["reduction"]: (i, row) for i, row in rows if stride <= row["reduction"] <= _COARSEST}
    if not last:
        strides = sorted({row["reduction"] for _, row in rows})
        raise InputError(f"{name} has maps of stride {strides}, and a head needs one between {stride} and {_COARSEST}")
    return [last[reduction] for reduction in sorted(last)]


def _layer(read: int, width: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(read, width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
