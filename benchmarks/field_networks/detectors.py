"""Detectors written by hand: YOLO's generations, SSD's heads, faces and hands, points instead of boxes."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .classifiers import InvertedResidual, ShuffleUnit
from .layers import Conv, Networks, conv, depthwise, separable

__all__ = ["DETECTORS"]


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels, 3), Conv(channels, channels, 3)
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C3(nn.Module):
    """YOLOv5's cross stage partial block."""

    def __init__(self, reads: int, makes: int, n: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half = makes // 2
        self.cv1, self.cv2, self.cv3 = Conv(reads, half), Conv(reads, half), Conv(2 * half, makes)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(n)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class C2f(nn.Module):
    """YOLOv8's: the map in two halves, what every bottleneck makes kept."""

    def __init__(self, reads: int, makes: int, n: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.c = makes // 2
        self.cv1, self.cv2 = Conv(reads, 2 * self.c), Conv((2 + n) * self.c, makes)
        self.m = nn.ModuleList(Bottleneck(self.c, shortcut) for _ in range(n))

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class Sppf(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels // 2), Conv(channels * 2, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        y.extend(self.m(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class Attention(nn.Module):
    """YOLO11's attention over positions, with a depthwise convolution for the place."""

    def __init__(self, dim: int, heads: int = 2) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, dim // heads
        self.key_dim = self.head_dim // 2
        self.qkv = Conv(dim, dim + self.key_dim * heads * 2, act=False)
        self.proj, self.pe = Conv(dim, dim, act=False), Conv(dim, dim, 3, groups=dim, act=False)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(x).view(b, self.num_heads, self.key_dim * 2 + self.head_dim, h * w)
        q, k, v = qkv.split([self.key_dim, self.key_dim, self.head_dim], dim=2)
        weights = ((q.transpose(-2, -1) @ k) * self.key_dim**-0.5).softmax(dim=-1)
        x = (v @ weights.transpose(-2, -1)).view(b, c, h, w) + self.pe(v.reshape(b, c, h, w))
        return self.proj(x)


class PartialAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.c = channels // 2
        self.cv1, self.cv2 = Conv(channels, 2 * self.c), Conv(2 * self.c, channels)
        self.attn = Attention(self.c)
        self.ffn = nn.Sequential(Conv(self.c, self.c * 2), Conv(self.c * 2, self.c, act=False))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.cv1(x).split((self.c, self.c), dim=1)
        b = b + self.attn(b)
        return self.cv2(torch.cat((a, b + self.ffn(b)), 1))


class Distances(nn.Module):
    """The expectation of a distribution over distances, a convolution with fixed weights."""

    def __init__(self, c1: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(c1, dtype=torch.float32).view(1, c1, 1, 1)
        self.c1 = c1

    def forward(self, x: Tensor) -> Tensor:
        b, _, a = x.shape
        return self.conv(x.view(b, 4, self.c1, a).transpose(2, 1).softmax(1)).view(b, 4, a)


class Decoupled(nn.Module):
    """YOLOv8's head: boxes as distributions and classes, from branches of their own."""

    def __init__(self, classes: int, widths: Sequence[int], bins: int = 8) -> None:
        super().__init__()
        self.nc, self.reg_max, self.no = classes, bins, classes + 4 * bins
        self.cv2 = nn.ModuleList(nn.Sequential(Conv(w, 16, 3), nn.Conv2d(16, 4 * bins, 1)) for w in widths)
        self.cv3 = nn.ModuleList(nn.Sequential(Conv(w, 16, 3), nn.Conv2d(16, classes, 1)) for w in widths)
        self.dfl = Distances(bins)

    def forward(self, maps: list[Tensor]) -> Tensor:
        outs = [torch.cat((a(x), b(x)), 1) for a, b, x in zip(self.cv2, self.cv3, maps, strict=True)]
        joined = torch.cat([out.view(out.shape[0], self.no, -1) for out in outs], 2)
        box, cls = joined.split((self.reg_max * 4, self.nc), 1)
        return torch.cat((self.dfl(box), cls.sigmoid()), 1)


class Anchored(nn.Module):
    """YOLOv5's head, as it is exported."""

    def __init__(self, classes: int, widths: Sequence[int], anchors: int = 3) -> None:
        super().__init__()
        self.na, self.no = anchors, classes + 5
        self.m = nn.ModuleList(nn.Conv2d(w, self.no * anchors, 1) for w in widths)

    def forward(self, maps: list[Tensor]) -> Tensor:
        z = []
        for layer, x in zip(self.m, maps, strict=True):
            y = layer(x)
            b, _, ny, nx = y.shape
            y = y.view(b, self.na, self.no, ny, nx).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
            z.append(y.view(b, -1, self.no))
        return torch.cat(z, 1)


class Yolo(nn.Module):
    """Backbone, path aggregation, head."""

    def __init__(self, block: type[nn.Module], head: nn.Module, attention: bool = False, stem: int = 3) -> None:
        super().__init__()
        self.stem = Conv(3, 16, stem, 2)
        self.p2 = nn.Sequential(Conv(16, 32, 3, 2), block(32, 32))
        self.p3 = nn.Sequential(Conv(32, 32, 3, 2), block(32, 32))
        self.p4 = nn.Sequential(Conv(32, 64, 3, 2), block(64, 64), Sppf(64))
        if attention:
            self.p4.append(PartialAttention(64))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.n3, self.down, self.n4 = block(96, 32, 1, False), Conv(32, 32, 3, 2), block(96, 64, 1, False)
        self.detect = head

    def forward(self, x: Tensor) -> Tensor:
        p3 = self.p3(self.p2(self.stem(x)))
        p4 = self.p4(p3)
        n3 = self.n3(torch.cat([self.up(p4), p3], 1))
        return self.detect([n3, self.n4(torch.cat([self.down(n3), p4], 1))])


class Focus(nn.Module):
    """Pixels into channels by strided slices, as YOLOv5's first layer and YOLOX's still do."""

    def __init__(self, makes: int) -> None:
        super().__init__()
        self.conv = Conv(12, makes, 3)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = x[..., ::2, :], x[..., 1::2, :]
        return self.conv(torch.cat((top[..., ::2], bottom[..., ::2], top[..., 1::2], bottom[..., 1::2]), 1))


class YoloX(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Focus(16), Conv(16, 32, 3, 2), C3(32, 32), Conv(32, 64, 3, 2), C3(64, 64))
        self.stem = Conv(64, 32)
        self.cls_conv, self.reg_conv = Conv(32, 32, 3), Conv(32, 32, 3)
        self.cls, self.reg, self.obj = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 4, 1), nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.body(x))
        reg = self.reg_conv(x)
        out = torch.cat([self.reg(reg), self.obj(reg).sigmoid(), self.cls(self.cls_conv(x)).sigmoid()], 1)
        return out.flatten(start_dim=2).permute(0, 2, 1)


class TinyYolo(nn.Module):
    """YOLOv3-tiny: leaky ReLU, a max pool of stride 1 behind an uneven pad, two scales."""

    def __init__(self) -> None:
        super().__init__()
        leaky = partial(nn.LeakyReLU, 0.1)
        self.a = nn.Sequential(
            conv(3, 16, act=leaky()), nn.MaxPool2d(2, 2), conv(16, 32, act=leaky()), nn.MaxPool2d(2, 2),
            conv(32, 64, act=leaky()),
        )  # fmt: skip
        self.b = nn.Sequential(
            nn.MaxPool2d(2, 2), conv(64, 64, act=leaky()), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1),
            conv(64, 96, act=leaky()), conv(96, 48, 1, act=leaky()),
        )  # fmt: skip
        self.coarse, self.route = nn.Conv2d(48, 27, 1), conv(48, 24, 1, act=leaky())
        self.fine = nn.Sequential(conv(88, 48, act=leaky()), nn.Conv2d(48, 27, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = self.a(x)
        b = self.b(a)
        return self.coarse(b), self.fine(torch.cat([F.interpolate(self.route(b), scale_factor=2.0), a], 1))


class SsdLite(nn.Module):
    """Three maps of a MobileNet, each with a depthwise-separable head for boxes and one for classes."""

    def __init__(self, classes: int = 5, anchors: int = 6) -> None:
        super().__init__()
        self.classes = classes
        self.base = nn.ModuleList(
            [
                nn.Sequential(conv(3, 16, 3, 2), InvertedResidual(16, 24, 2, 4), InvertedResidual(24, 32, 2, 4)),
                nn.Sequential(InvertedResidual(32, 32, 1, 4), InvertedResidual(32, 64, 2, 4)),
                nn.Sequential(conv(64, 32, 1), conv(32, 64, 3, 2)),
            ]
        )
        widths = (32, 64, 64)
        self.loc = nn.ModuleList(nn.Sequential(depthwise(w), nn.Conv2d(w, anchors * 4, 1)) for w in widths)
        self.conf = nn.ModuleList(nn.Sequential(depthwise(w), nn.Conv2d(w, anchors * classes, 1)) for w in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        loc, conf = [], []
        for base, box, cls in zip(self.base, self.loc, self.conf, strict=True):
            x = base(x)
            loc.append(box(x).permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, 4))
            conf.append(cls(x).permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, self.classes))
        return torch.cat(loc, 1), torch.softmax(torch.cat(conf, 1), -1)


class Blaze(nn.Module):
    """BlazeFace's block: 5x5 depthwise; the shortcut is pooled and its channels padded with zeros."""

    def __init__(self, reads: int, makes: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.channel_pad = stride, makes - reads
        self.convs = nn.Sequential(
            nn.Conv2d(reads, reads, 5, stride, 0 if stride == 2 else 2, groups=reads), nn.Conv2d(reads, makes, 1)
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.stride == 2:
            y, x = F.pad(x, (1, 2, 1, 2), "constant", 0), F.max_pool2d(x, 2, 2)
        if self.channel_pad > 0:
            x = F.pad(x, (0, 0, 0, 0, 0, self.channel_pad), "constant", 0)
        return self.act(self.convs(y) + x)


class BlazeFace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone1 = nn.Sequential(
            nn.Conv2d(3, 24, 5, 2, 0), nn.ReLU(), Blaze(24, 24), Blaze(24, 28), Blaze(28, 32, 2), Blaze(32, 48)
        )
        self.backbone2 = nn.Sequential(Blaze(48, 64, 2), Blaze(64, 64))
        self.cls8, self.cls16 = nn.Conv2d(48, 2, 1), nn.Conv2d(64, 6, 1)
        self.reg8, self.reg16 = nn.Conv2d(48, 32, 1), nn.Conv2d(64, 96, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.backbone1(F.pad(x, (1, 2, 1, 2), "constant", 0))
        h = self.backbone2(x)
        b = x.shape[0]
        c1 = self.cls8(x).permute(0, 2, 3, 1).reshape(b, -1, 1)
        c2 = self.cls16(h).permute(0, 2, 3, 1).reshape(b, -1, 1)
        r1 = self.reg8(x).permute(0, 2, 3, 1).reshape(b, -1, 16)
        r2 = self.reg16(h).permute(0, 2, 3, 1).reshape(b, -1, 16)
        return [torch.cat((r1, r2), 1), torch.cat((c1, c2), 1)]


class NanoDet(nn.Module):
    """ShuffleNet units, a pyramid of depthwise convolutions, one head for all scales."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            [nn.Sequential(ShuffleUnit(16, 48, 2), ShuffleUnit(48, 48, 1)), ShuffleUnit(48, 96, 2)]
        )
        self.lateral = nn.ModuleList(conv(w, 32, 1) for w in (48, 96))
        self.head = nn.Sequential(separable(32, 32, kernel=5), nn.Conv2d(32, 4 + 16, 1))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.stages[0](self.stem(x))
        coarse = self.stages[1](fine)
        a, b = self.lateral[0](fine), self.lateral[1](coarse)
        a = a + F.interpolate(b, size=a.shape[2:], mode="bilinear", align_corners=False)
        b = b + F.interpolate(a, size=b.shape[2:], mode="bilinear", align_corners=False)
        return torch.cat([self.head(y).flatten(start_dim=2) for y in (a, b)], 2).permute(0, 2, 1)


class CenterNet(nn.Module):
    """Centres as peaks of a heat map, found by a max pool; decoded by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), conv(32, 64, 3, 2), conv(64, 96, 3, 2))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(96, 48, 4, 2, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU(),
            nn.ConvTranspose2d(48, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.hm = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))
        self.wh = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 2, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.up(self.body(x))
        heat = self.hm(x).sigmoid()
        return {"hm": heat, "peaks": F.max_pool2d(heat, 3, 1, 1), "wh": self.wh(x)}


class WeightedPyramid(nn.Module):
    """EfficientDet: maps summed with learned weights, normalised without a softmax."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.a = nn.Sequential(conv(3, 16, 3, 2), InvertedResidual(16, width, 2, 4, nn.SiLU))
        self.b = InvertedResidual(width, width, 2, 4, nn.SiLU)
        self.c = InvertedResidual(width, width, 2, 4, nn.SiLU)
        self.w1, self.w2 = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
        self.up, self.down = separable(width, width, act=nn.SiLU()), separable(width, width, act=nn.SiLU())
        self.head = nn.Conv2d(width, 9, 3, 1, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        a = self.a(x)
        b = self.b(a)
        c = self.c(b)
        w = F.relu(self.w1)
        w = w / (w.sum() + 1e-4)
        mid = self.up(w[0] * b + w[1] * F.interpolate(c, scale_factor=2, mode="nearest"))
        v = F.relu(self.w2)
        v = v / (v.sum() + 1e-4)
        out = self.down(v[0] * b + v[1] * mid + v[2] * F.max_pool2d(a, 3, 2, 1))
        return [self.head(mid), self.head(out)]


class RetinaFace(nn.Module):
    """A pyramid with context modules; heads for boxes, scores and landmarks at two scales."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.c3 = nn.Sequential(conv(3, 8, 3, 2), separable(8, 16, 2), separable(16, 32, 2))
        self.c4 = nn.Sequential(separable(32, 64, 2), separable(64, 64))
        self.o3, self.o4, self.merge = conv(32, width, 1), conv(64, width, 1), conv(width, width)
        self.wide, self.mid, self.deep = conv(width, width // 2), conv(width, width // 4), conv(width // 4, width // 4)
        self.deeper = conv(width // 4, width // 4)
        self.heads = nn.ModuleList(nn.ModuleList(nn.Conv2d(width, 2 * n, 1) for n in (4, 2, 10)) for _ in range(2))

    def context(self, x: Tensor) -> Tensor:
        mid = self.mid(x)
        return F.relu(torch.cat([self.wide(x), self.deep(mid), self.deeper(self.deep(mid))], dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        c3 = self.c3(x)
        c4 = self.c4(c3)
        o4 = self.o4(c4)
        o3 = self.o3(c3)
        o3 = self.merge(o3 + F.interpolate(o4, size=[o3.size(2), o3.size(3)], mode="nearest"))
        maps = [self.context(o3), self.context(o4)]
        rows = []
        for number, n in enumerate((4, 2, 10)):
            made = [self.heads.get_submodule(f"{i}.{number}")(y).permute(0, 2, 3, 1) for i, y in enumerate(maps)]
            rows.append(torch.cat([y.reshape(y.shape[0], -1, n) for y in made], 1))
        return rows[0], F.softmax(rows[1], dim=-1), rows[2]


def fomo() -> nn.Module:
    """A MobileNet cut at an eighth of the size, one class a cell."""
    rows = [(16, 16, 1, 1), (16, 24, 2, 6), (24, 24, 1, 6), (24, 32, 2, 6), (32, 32, 1, 6)]
    return nn.Sequential(
        conv(1, 16, 3, 2), *(InvertedResidual(*row) for row in rows), nn.Conv2d(32, 32, 1), nn.ReLU(),
        nn.Conv2d(32, 3, 1), nn.Softmax(dim=1),
    )  # fmt: skip


_PICTURE = ((3, 64, 64),)
DETECTORS: Networks = {
    "yolo-v3-tiny": (TinyYolo, _PICTURE),
    "yolo-v5": (lambda: Yolo(C3, Anchored(4, (32, 64)), stem=6), _PICTURE),
    "yolo-v8": (lambda: Yolo(C2f, Decoupled(4, (32, 64))), _PICTURE),
    "yolo-11": (lambda: Yolo(C2f, Decoupled(4, (32, 64)), attention=True), _PICTURE),
    "yolox": (YoloX, _PICTURE),
    "ssd-lite": (SsdLite, ((3, 96, 96),)),
    "blazeface": (BlazeFace, _PICTURE),
    "nanodet": (NanoDet, _PICTURE),
    "centernet": (CenterNet, _PICTURE),
    "efficientdet": (WeightedPyramid, _PICTURE),
    "retinaface": (RetinaFace, _PICTURE),
    "fomo": (fomo, ((1, 96, 96),)),
}
