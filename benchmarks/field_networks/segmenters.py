"""Networks that answer every pixel: U-Nets, atrous pyramids, ESPNet, ENet, two-branch networks, depth, pose."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .classifiers import Gate, InvertedResidual
from .layers import Networks, Residual, conv, depthwise, separable

__all__ = ["SEGMENTERS"]


class DoubleConv(nn.Module):
    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(*conv(reads, makes), *conv(makes, makes))

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Up(nn.Module):
    """The best known U-Net's: larger by bilinear interpolation or a transposed convolution, padded to the skip."""

    def __init__(self, reads: int, makes: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(reads + reads // 2, makes)
        else:
            self.up = nn.ConvTranspose2d(reads, reads // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(reads, makes)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, bilinear: bool, width: int = 8) -> None:
        super().__init__()
        w = width
        self.inc = DoubleConv(3, w)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(w, 2 * w))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * w, 4 * w))
        self.up1, self.up2 = Up(4 * w, 2 * w, bilinear), Up(2 * w, w, bilinear)
        self.outc = nn.Conv2d(w, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        return self.outc(self.up2(self.up1(self.down2(x2), x2), x1))


class AttentionGate(nn.Module):
    """Attention U-Net: a skip weighed by what the decoder has."""

    def __init__(self, fine: int, coarse: int, inner: int) -> None:
        super().__init__()
        self.g, self.x = conv(coarse, inner, 1, act=nn.Identity()), conv(fine, inner, 1, act=nn.Identity())
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, g: Tensor, x: Tensor) -> Tensor:
        return x * self.psi(F.relu(self.g(g) + self.x(x)))


class AttentionUNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 12), conv(12, 24), conv(24, 48)
        self.up2 = nn.Sequential(nn.Upsample(scale_factor=2), *conv(48, 24))
        self.up1 = nn.Sequential(nn.Upsample(scale_factor=2), *conv(24, 12))
        self.gate2, self.gate1 = AttentionGate(24, 24, 12), AttentionGate(12, 12, 6)
        self.dec2, self.dec1, self.out = conv(48, 24), conv(24, 12), nn.Conv2d(12, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.one(x)
        b = self.two(F.max_pool2d(a, 2, 2))
        d = self.up2(self.three(F.max_pool2d(b, 2, 2)))
        d = self.dec2(torch.cat((self.gate2(d, b), d), dim=1))
        d = self.up1(d)
        return torch.sigmoid(self.out(self.dec1(torch.cat((self.gate1(d, a), d), dim=1))))


class Aspp(nn.Module):
    """DeepLab's pyramid: one map at several dilations, and its mean spread out again."""

    def __init__(self, reads: int, makes: int, rates: Sequence[int] = (2, 4, 6)) -> None:
        super().__init__()
        self.convs = nn.ModuleList([conv(reads, makes, 1)])
        for rate in rates:
            layer = nn.Conv2d(reads, makes, 3, padding=rate, dilation=rate, bias=False)
            self.convs.append(nn.Sequential(layer, nn.BatchNorm2d(makes), nn.ReLU()))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv(reads, makes, 1))
        self.project = conv((2 + len(rates)) * makes, makes, 1)

    def forward(self, x: Tensor) -> Tensor:
        made = [layer(x) for layer in self.convs]
        made.append(F.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear", align_corners=False))
        return self.project(torch.cat(made, dim=1))


class DeepLabPlus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(conv(3, 16, 3, 2), InvertedResidual(16, 24, 2, 4))
        self.high = nn.Sequential(InvertedResidual(24, 32, 2, 4), InvertedResidual(32, 48, 2, 4))
        self.aspp, self.reduce = Aspp(48, 32), conv(24, 12, 1)
        self.decode = nn.Sequential(separable(44, 32), nn.Conv2d(32, 5, 1))

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        y = self.aspp(self.high(low))
        y = F.interpolate(y, size=low.shape[2:], mode="bilinear", align_corners=False)
        y = self.decode(torch.cat([self.reduce(low), y], 1))
        return F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)


class Esp(nn.Module):
    """ESPNet: few channels at five dilations, summed up hierarchically."""

    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        n = makes // 5
        first = makes - 4 * n
        self.c1 = nn.Conv2d(reads, n, 1, bias=False)
        self.d1 = nn.Conv2d(n, first, 3, padding=1, bias=False)
        self.ds = nn.ModuleList(nn.Conv2d(n, n, 3, padding=d, dilation=d, bias=False) for d in (2, 4, 8, 16))
        self.bn, self.act, self.same = nn.BatchNorm2d(makes), nn.PReLU(makes), reads == makes

    def forward(self, x: Tensor) -> Tensor:
        y = self.c1(x)
        made = [layer(y) for layer in self.ds]
        sums = [made[0]]
        for more in made[1:]:
            sums.append(sums[-1] + more)
        y = torch.cat([self.d1(y), *sums], 1)
        return self.act(self.bn(y + x if self.same else y))


class EspNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level1 = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.PReLU(16))
        self.sample = nn.AvgPool2d(3, stride=2, padding=1)
        self.down = nn.Conv2d(19, 30, 3, 2, 1)
        self.level2 = nn.Sequential(Esp(30, 30), Esp(30, 30))
        self.classifier = nn.Conv2d(60, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(torch.cat([self.level1(x), self.sample(x)], 1))
        return self.up(self.up(self.classifier(torch.cat([y, self.level2(y)], 1))))


class EnetBlock(nn.Module):
    """ENet's bottleneck: plain, dilated or with two one-dimensional kernels."""

    def __init__(self, channels: int, dilation: int = 1, asymmetric: bool = False) -> None:
        super().__init__()
        inner = channels // 4
        if asymmetric:
            middle: nn.Module = nn.Sequential(
                nn.Conv2d(inner, inner, (5, 1), padding=(2, 0)), nn.Conv2d(inner, inner, (1, 5), padding=(0, 2))
            )
        else:
            middle = nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation)
        self.ext = nn.Sequential(
            *conv(channels, inner, 1, act=nn.PReLU()), middle, nn.BatchNorm2d(inner), nn.PReLU(),
            *conv(inner, channels, 1, act=nn.PReLU()), nn.Dropout2d(0.1),
        )  # fmt: skip
        self.out_activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.out_activation(x + self.ext(x))


class Enet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main, self.pool = nn.Conv2d(3, 13, 3, 2, 1, bias=False), nn.MaxPool2d(3, 2, 1)
        self.bn, self.act = nn.BatchNorm2d(16), nn.PReLU()
        self.down = conv(16, 32, 2, 2, act=nn.PReLU())
        self.body = nn.Sequential(EnetBlock(32), EnetBlock(32, 2), EnetBlock(32, asymmetric=True), EnetBlock(32, 4))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 4, 3, 2, 1, output_padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(torch.cat((self.main(x), self.pool(x)), 1)))
        return self.up(self.body(self.down(x)))


class Pyramid(nn.Module):
    """PSPNet's pooling: the map at several coarse resolutions, spread out and concatenated."""

    def __init__(self, reads: int, bins: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        each = reads // len(bins)
        self.stages = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(n), conv(reads, each, 1)) for n in bins)
        self.bottleneck = conv(reads + each * len(bins), reads)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.size(2), x.size(3)
        made = [F.interpolate(stage(x), size=(h, w), mode="bilinear", align_corners=False) for stage in self.stages]
        return self.bottleneck(torch.cat([*made, x], 1))


class FastScnn(nn.Module):
    """A learned downsampling shared by a coarse branch and a fine one."""

    def __init__(self) -> None:
        super().__init__()
        self.learning = nn.Sequential(conv(3, 16, 3, 2), separable(16, 24, 2))
        self.context = nn.Sequential(InvertedResidual(24, 36, 2, 4), InvertedResidual(36, 36, 1, 4), Pyramid(36))
        self.low, self.high = depthwise(36), conv(24, 36, 1, act=nn.Identity())
        self.mix = conv(36, 36, 1, act=nn.Identity())
        self.classifier = nn.Sequential(separable(36, 36), nn.Dropout(0.1), nn.Conv2d(36, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        size = x.size()[2:]
        fine = self.learning(x)
        y = F.interpolate(self.context(fine), scale_factor=2, mode="bilinear", align_corners=True)
        y = F.relu(self.mix(self.low(y)) + self.high(fine))
        return F.interpolate(self.classifier(y), size, mode="bilinear", align_corners=True)


class BiSeNet(nn.Module):
    """A spatial path and a context path, each weighed by a mean of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential(conv(3, 16, 3, 2), conv(16, 24, 3, 2), conv(24, 32, 3, 2))
        self.c8 = nn.Sequential(conv(3, 16, 3, 2), conv(16, 16, 3, 2), conv(16, 32, 3, 2))
        self.c16 = conv(32, 64, 3, 2)
        self.arm = nn.Sequential(nn.Conv2d(64, 64, 1, bias=False), nn.BatchNorm2d(64), nn.Sigmoid())
        self.global_ = conv(64, 64, 1)
        self.head = conv(64, 32)
        self.fuse, self.ffm = conv(64, 48, 1), nn.Sequential(nn.Conv2d(48, 12, 1), nn.ReLU(), nn.Conv2d(12, 48, 1))
        self.out = nn.Conv2d(48, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        c16 = self.c16(self.c8(x))
        pooled = F.avg_pool2d(c16, c16.size()[2:])
        y = c16 * self.arm(pooled) + F.interpolate(self.global_(pooled), c16.size()[2:], mode="nearest")
        y = self.head(F.interpolate(y, scale_factor=2.0, mode="nearest"))
        y = self.fuse(torch.cat([self.spatial(x), y], dim=1))
        y = y * self.ffm(F.avg_pool2d(y, y.size()[2:])).sigmoid() + y
        return F.interpolate(self.out(y), size, mode="bilinear", align_corners=True)


class LinkNet(nn.Module):
    """Decoders of pointwise, transposed and pointwise convolutions, their skips added."""

    def __init__(self) -> None:
        super().__init__()
        self.e1, self.e2, self.e3 = conv(3, 16, 3, 2), conv(16, 32, 3, 2), conv(32, 64, 3, 2)
        self.d3, self.d2, self.d1 = self.decoder(64, 32), self.decoder(32, 16), self.decoder(16, 8)
        self.out = nn.Conv2d(8, 3, 1)

    @staticmethod
    def decoder(reads: int, makes: int) -> nn.Module:
        up = nn.ConvTranspose2d(reads // 4, reads // 4, 3, 2, 1, output_padding=1, bias=False)
        return nn.Sequential(
            *conv(reads, reads // 4, 1), up, nn.BatchNorm2d(reads // 4), nn.ReLU(), *conv(reads // 4, makes, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        e1 = self.e1(x)
        e2 = self.e2(e1)
        return self.out(self.d1(self.d2(self.d3(self.e3(e2)) + e2) + e1)).argmax(1)


class FastDepth(nn.Module):
    """Depth: separable convolutions, made larger by nearest neighbours, skips added."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 16, 3, 2), separable(16, 32, 2), separable(32, 64, 2)
        self.d1, self.d2, self.d3 = (separable(r, m, kernel=5) for r, m in ((64, 32), (32, 16), (16, 8)))
        self.out = conv(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        y = F.interpolate(self.d1(self.c(b)), scale_factor=2, mode="nearest") + b
        y = F.interpolate(self.d2(y), scale_factor=2, mode="nearest") + a
        return self.out(F.interpolate(self.d3(y), scale_factor=2, mode="nearest"))


class Hourglass(nn.Module):
    """Stacked hourglass: down and up again, recursively."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.up1, self.low1, self.low3 = self.unit(channels), self.unit(channels), self.unit(channels)
        self.low2: nn.Module = Hourglass(depth - 1, channels) if depth > 1 else self.unit(channels)

    @staticmethod
    def unit(channels: int) -> nn.Module:
        half = channels // 2
        return Residual(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, half, 1),
            nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        low = self.low3(self.low2(self.low1(F.max_pool2d(x, 2))))
        return self.up1(x) + F.interpolate(low, scale_factor=2)


class Pose(nn.Module):
    """Two hourglasses, the heat maps of the first handed to the second."""

    def __init__(self, width: int = 24, joints: int = 7) -> None:
        super().__init__()
        self.pre = nn.Sequential(conv(3, width, 7, 2), nn.MaxPool2d(2, 2))
        self.hgs = nn.ModuleList(nn.Sequential(Hourglass(2, width), conv(width, width, 1)) for _ in range(2))
        self.outs = nn.ModuleList(nn.Conv2d(width, joints, 1) for _ in range(2))
        self.merge_features, self.merge_preds = nn.Conv2d(width, width, 1), nn.Conv2d(joints, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, made = self.pre(x), []
        for i, (hourglass, out) in enumerate(zip(self.hgs, self.outs, strict=True)):
            feature = hourglass(x)
            made.append(out(feature))
            if i == 0:
                x = x + self.merge_preds(made[-1]) + self.merge_features(feature)
        return torch.stack(made, 1)


class SoftArgmax(nn.Module):
    """Joints as expectations over heat maps that transposed convolutions made."""

    def __init__(self, joints: int = 5, side: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), conv(32, 48, 3, 2))
        self.up = nn.Sequential(nn.ConvTranspose2d(48, 24, 4, 2, 1), nn.BatchNorm2d(24), nn.ReLU())
        self.final, self.side = nn.Conv2d(24, joints, 1), side
        self.register_buffer("places", torch.linspace(0, 1, side))

    def forward(self, x: Tensor) -> Tensor:
        heat = self.final(self.up(self.body(x)))
        b, joints = heat.shape[:2]
        heat = heat.reshape(b, joints, -1).softmax(-1).reshape(b, joints, self.side, self.side)
        places = self.get_buffer("places")
        return torch.stack([(heat.sum(2) * places).sum(-1), (heat.sum(3) * places).sum(-1)], -1)


class Selfie(nn.Module):
    """MediaPipe's selfie segmenter: a gated MobileNet whose decoder weighs its skips."""

    def __init__(self) -> None:
        super().__init__()
        self.a = conv(3, 16, 3, 2, act=nn.Hardswish())
        self.b = nn.Sequential(*depthwise(16, 3, 2), Gate(16), *conv(16, 24, 1, act=nn.Identity()))
        self.c = nn.Sequential(conv(24, 72, 3, 2), Residual(depthwise(72, 5), Gate(72)), conv(72, 32, 1))
        self.gate, self.lift, self.smooth = nn.Conv2d(24, 24, 1), conv(32, 24, 1), Residual(depthwise(24))
        self.squeeze, self.out = conv(24, 16, 1), nn.ConvTranspose2d(16, 1, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        up = F.interpolate(self.lift(self.c(b)), scale_factor=2, mode="bilinear", align_corners=False)
        y = self.smooth(up + b * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(up + b, 1))))
        y = F.interpolate(self.squeeze(y), scale_factor=2, mode="bilinear", align_corners=False) + a
        return torch.sigmoid(self.out(y))


_PICTURE = ((3, 64, 64),)
SEGMENTERS: Networks = {
    "unet-transposed": (partial(UNet, False), _PICTURE),
    "unet-bilinear": (partial(UNet, True), ((3, 50, 66),)),
    "attention-unet": (AttentionUNet, _PICTURE),
    "deeplab-v3-plus": (DeepLabPlus, _PICTURE),
    "espnet": (EspNet, _PICTURE),
    "enet": (Enet, _PICTURE),
    "fast-scnn": (FastScnn, _PICTURE),
    "bisenet": (BiSeNet, _PICTURE),
    "linknet": (LinkNet, _PICTURE),
    "fastdepth": (FastDepth, _PICTURE),
    "hourglass": (Pose, _PICTURE),
    "soft-argmax-pose": (SoftArgmax, _PICTURE),
    "selfie-segmenter": (Selfie, _PICTURE),
}
