"""Classifiers written by hand, after the papers and the repositories that people copy from."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Networks, Residual, conv, depthwise, separable

__all__ = ["CLASSIFIERS"]


def headed(body: nn.Module, width: int, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Ghost(nn.Module):
    """GhostNet's module: half the maps from a convolution, the others by cheap depthwise ones, sliced to the width."""

    def __init__(self, reads: int, makes: int, act: bool = True) -> None:
        super().__init__()
        self.out = makes
        half = -(-makes // 2)
        self.primary = conv(reads, half, 1, act=nn.ReLU() if act else nn.Identity())
        self.cheap = depthwise(half, act=nn.ReLU() if act else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], dim=1)[:, : self.out, :, :]


class GhostBottleneck(nn.Module):
    def __init__(self, reads: int, hidden: int, makes: int, stride: int) -> None:
        super().__init__()
        self.ghost1 = Ghost(reads, hidden)
        self.down = depthwise(hidden, 3, stride, nn.Identity()) if stride > 1 else nn.Identity()
        self.se = Gate(hidden)
        self.ghost2 = Ghost(hidden, makes, False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or reads != makes:
            self.shortcut = nn.Sequential(depthwise(reads, 3, stride, nn.Identity()), conv(reads, makes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.se(self.down(self.ghost1(x)))) + self.shortcut(x)


class Gate(nn.Module):
    """Squeeze and excitation with linear layers and a view, as in most repositories."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction), nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        return x * self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1).expand_as(x)


def shuffle(x: Tensor, groups: int) -> Tensor:
    b, c, h, w = x.shape
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).contiguous().view(b, c, h, w)


class ShuffleUnit(nn.Module):
    """ShuffleNet V2's unit."""

    def __init__(self, reads: int, makes: int, stride: int) -> None:
        super().__init__()
        self.stride, half = stride, makes // 2
        inner = half if stride == 1 else reads
        self.right = nn.Sequential(
            *conv(inner, half, 1), *depthwise(half, 3, stride, nn.Identity()), *conv(half, half, 1)
        )
        self.left = nn.Sequential(*depthwise(reads, 3, stride, nn.Identity()), *conv(reads, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            a, b = x.chunk(2, dim=1)
            return shuffle(torch.cat((a, self.right(b)), 1), 2)
        return shuffle(torch.cat((self.left(x), self.right(x)), 1), 2)


class GroupedShuffle(nn.Module):
    """ShuffleNet V1's unit: grouped pointwise convolutions around a shuffle."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.squeeze = conv(channels, channels // 2, 1, groups=groups)
        self.depth = depthwise(channels // 2, act=nn.Identity())
        self.expand = conv(channels // 2, channels, 1, groups=groups, act=nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.expand(self.depth(shuffle(self.squeeze(x), self.groups))) + x)


class Fire(nn.Module):
    def __init__(self, reads: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(reads, squeeze, 1)
        self.one, self.three = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class InvertedResidual(nn.Module):
    """MobileNet V2's block as its best known repository has it: one Sequential, conv(x) added to x."""

    def __init__(self, reads: int, makes: int, stride: int, ratio: int, act: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        hidden = reads * ratio
        self.use_res_connect = stride == 1 and reads == makes
        layers = [*conv(reads, hidden, 1, act=act())] if ratio != 1 else []
        layers += [*depthwise(hidden, 3, stride, act()), *conv(hidden, makes, 1, act=nn.Identity())]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


def inverted(act: type[nn.Module]) -> nn.Module:
    rows = [(16, 16, 1, 1), (16, 24, 2, 6), (24, 24, 1, 6), (24, 32, 2, 6), (32, 32, 1, 6), (32, 64, 2, 4)]
    body = [InvertedResidual(r, m, s, t, act) for r, m, s, t in rows]
    return headed(nn.Sequential(conv(3, 16, 3, 2, act=act()), *body, conv(64, 128, 1, act=act())), 128)


class RepBlock(nn.Module):
    """RepVGG while it learns: a dense, a pointwise and an identity branch, each with its norm."""

    def __init__(self, reads: int, makes: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.dense = conv(reads, makes, 3, stride, groups, nn.Identity())
        self.point = conv(reads, makes, 1, stride, groups, nn.Identity())
        self.identity = nn.BatchNorm2d(reads) if reads == makes and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.dense(x) + self.point(x)
        return F.relu(y if self.identity is None else y + self.identity(x))


class MobileOne(nn.Module):
    """MobileOne's pair of multi-branched layers, k of them each."""

    def __init__(self, reads: int, makes: int, stride: int, k: int = 2) -> None:
        super().__init__()
        self.depth = nn.ModuleList(depthwise(reads, 3, stride, nn.Identity()) for _ in range(k))
        self.scale = conv(reads, reads, 1, stride, reads, nn.Identity())
        self.point = nn.ModuleList(conv(reads, makes, 1, act=nn.Identity()) for _ in range(k))

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale(x)
        for branch in self.depth:
            y = y + branch(x)
        y, z = F.relu(y), torch.zeros(())
        for branch in self.point:
            z = z + branch(y)
        return F.relu(z)


class PadShortcut(nn.Module):
    """ResNet for CIFAR, option A: the shortcut takes every second pixel and pads channels with zeros."""

    def __init__(self, reads: int, makes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(reads, makes, 3, stride, 1, bias=False), nn.BatchNorm2d(makes)
        self.conv2, self.bn2 = nn.Conv2d(makes, makes, 3, 1, 1, bias=False), nn.BatchNorm2d(makes)
        self.more, self.stride = (makes - reads) // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more), "constant", 0)
        return F.relu(y + x)


class DenseLayer(nn.Module):
    def __init__(self, reads: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(reads), nn.Conv2d(reads, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))], 1)


class Res2(nn.Module):
    """Res2Net: the map in four parts, each convolved with what the one before it made."""

    def __init__(self, channels: int, scale: int = 4) -> None:
        super().__init__()
        self.width = channels // scale
        self.before, self.after = conv(channels, channels, 1), conv(channels, channels, 1, act=nn.Identity())
        self.convs = nn.ModuleList(conv(self.width, self.width) for _ in range(scale - 1))

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(self.before(x), self.width, 1)
        made = [parts[0]]
        for part, layer in zip(parts[1:], self.convs, strict=True):
            made.append(layer(part if len(made) == 1 else part + made[-1]))
        return F.relu(self.after(torch.cat(made, 1)) + x)


class OneShot(nn.Module):
    """VoVNet: all maps of a stage concatenated once, gated by a hard sigmoid."""

    def __init__(self, reads: int, stage: int, makes: int, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(reads if i == 0 else stage, stage) for i in range(layers))
        self.concat, self.fc = conv(reads + layers * stage, makes, 1), nn.Conv2d(makes, makes, 1)

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for layer in self.layers:
            x = layer(x)
            made.append(x)
        x = self.concat(torch.cat(made, dim=1))
        return x * (F.relu6(self.fc(x.mean((2, 3), keepdim=True)) + 3.0) / 6.0)


class MixConv(nn.Module):
    """MixNet: parts of the channels with kernels of their own."""

    def __init__(self, channels: int, kernels: tuple[int, ...] = (3, 5, 7)) -> None:
        super().__init__()
        self.splits = [channels - channels // 3 * 2, channels // 3, channels // 3]
        self.convs = nn.ModuleList(
            nn.Conv2d(c, c, k, padding=k // 2, groups=c) for c, k in zip(self.splits, kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(part) for layer, part in zip(self.convs, x.split(self.splits, 1), strict=True)], 1)


class Lenet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, 16 * 5 * 5)
        return F.log_softmax(self.fc3(F.relu(self.fc2(F.relu(self.fc1(x))))), dim=1)


class Maxout(nn.Module):
    """LightCNN's max-feature-map: the larger one of two halves."""

    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        self.out_channels, self.filter = makes, nn.Conv2d(reads, 2 * makes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(self.filter(x), self.out_channels, 1)
        return torch.max(a, b)


class FaceNet(nn.Module):
    """MobileFaceNet: PReLU, and a depthwise convolution over the whole last map."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv(3, 32, 3, 2, act=nn.PReLU(32)),
            *separable(32, 64, 2, act=nn.PReLU(32))[:5], nn.PReLU(64),
            Residual(*conv(64, 128, 1, act=nn.PReLU(128)), *depthwise(128, act=nn.PReLU(128)), nn.Conv2d(128, 64, 1)),
            *conv(64, 128, 3, 2, act=nn.PReLU(128)),
        )  # fmt: skip
        self.gdc = nn.Conv2d(128, 128, 7, groups=128, bias=False)
        self.bn, self.linear = nn.BatchNorm2d(128), nn.Conv2d(128, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.linear(self.bn(self.gdc(self.body(x)))), 1)
        return x / x.norm(dim=1, keepdim=True)


class HighResolution(nn.Module):
    """HRNet: two resolutions side by side that exchange what they have."""

    def __init__(self, fine: int = 16, coarse: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, fine, 3, 2), conv(fine, fine, 3, 2))
        self.down = conv(fine, coarse, 3, 2)
        self.fine, self.coarse = Residual(conv(fine, fine)), Residual(conv(coarse, coarse))
        self.to_fine, self.to_coarse = conv(coarse, fine, 1, act=nn.Identity()), conv(fine, coarse, 3, 2)
        self.head = nn.Linear(fine + coarse, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = self.stem(x)
        b = self.down(a)
        a, b = self.fine(a), self.coarse(b)
        a, b = F.relu(a + F.interpolate(self.to_fine(b), scale_factor=2, mode="nearest")), b + self.to_coarse(a)
        return self.head(torch.cat([a.mean([2, 3]), b.mean([2, 3])], 1))


class ChannelsLast(nn.Module):
    """Reads pictures as cameras give them, NHWC and 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.net = headed(nn.Sequential(conv(3, 16, 3, 2), separable(16, 32, 2), separable(32, 64, 2)), 64)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.net((x / 127.5 - 1.0).permute(0, 3, 1, 2)), dim=-1)


class NoNorm(nn.Module):
    """A beginner's network, with dropout and a flattened map."""

    def __init__(self, pixels: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.LeakyReLU(0.1),
            nn.MaxPool2d(2), nn.Dropout2d(0.25), nn.Conv2d(32, 32, 3, 2), nn.ELU(),
        )  # fmt: skip
        side = ((pixels - 2) // 2 - 2) // 2
        self.classifier = nn.Sequential(nn.Linear(32 * ((side - 3) // 2 + 1) ** 2, 64), nn.Tanh(), nn.Linear(64, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(x.reshape(x.size(0), -1))


def computed(wrap: str) -> nn.Module:
    """A network some of whose weights are computed when it runs."""
    wraps: dict[str, Callable[[nn.Module], nn.Module]] = {
        "spectral": nn.utils.parametrizations.spectral_norm,
        "weight": nn.utils.parametrizations.weight_norm,
    }
    of = wraps[wrap]
    body = nn.Sequential(conv(3, 16, 3, 2), of(nn.Conv2d(16, 32, 3, 2, 1)), nn.ReLU(), of(nn.Conv2d(32, 32, 3, 1, 1)))
    return headed(body, 32)


def group_norms() -> nn.Module:
    layers = [nn.Sequential(nn.Conv2d(r, m, 3, 2, 1), nn.GroupNorm(4, m), nn.SiLU()) for r, m in ((3, 16), (16, 32))]
    return headed(nn.Sequential(*layers, Residual(nn.Conv2d(32, 32, 3, 1, 1), nn.GroupNorm(8, 32), nn.SiLU())), 32)


def dense() -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(3, 24, 3, 2, 1), DenseLayer(24, 12), DenseLayer(36, 12), nn.Conv2d(48, 24, 1), nn.AvgPool2d(2),
        DenseLayer(24, 12), DenseLayer(36, 12), nn.BatchNorm2d(48), nn.ReLU(),
    )  # fmt: skip
    return headed(body, 48)


def ghost() -> nn.Module:
    rows = [(16, 16, 16, 1), (16, 48, 24, 2), (24, 72, 24, 1), (24, 72, 40, 2), (40, 120, 41, 1)]
    return headed(nn.Sequential(conv(3, 16, 3, 2), *(GhostBottleneck(*row) for row in rows)), 41)


def stages(*layers: nn.Module, width: int, channels: int = 3) -> nn.Module:
    return headed(nn.Sequential(conv(channels, 16, 3, 2), *layers), width)


def mobilenet_v1(channels: int, width: int) -> nn.Module:
    """MLPerf Tiny's visual wake words, in small."""
    rows = [(1, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
    layers = [separable(a * width, b * width, s) for a, b, s in rows]
    return headed(nn.Sequential(conv(channels, width, 3, 2), *layers), 16 * width, 2)


def resnet_cifar() -> nn.Module:
    rows = [(16, 16, 1), (16, 32, 2), (32, 64, 2), (64, 64, 1)]
    return headed(nn.Sequential(conv(3, 16), *(PadShortcut(*row) for row in rows)), 64)


_PICTURE = ((3, 64, 64),)
CLASSIFIERS: Networks = {
    "ghostnet": (ghost, _PICTURE),
    "shufflenet-v2": (
        partial(stages, ShuffleUnit(16, 48, 2), ShuffleUnit(48, 48, 1), ShuffleUnit(48, 96, 2), width=96), _PICTURE
    ),
    "shufflenet-v1": (
        partial(stages, conv(16, 48, 1), GroupedShuffle(48, 3), GroupedShuffle(48, 3), width=48), _PICTURE
    ),
    "squeezenet": (
        partial(stages, Fire(16, 8, 16), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(32, 16, 32), width=64), _PICTURE
    ),
    "mobilenet-v1-grey": (partial(mobilenet_v1, 1, 8), ((1, 96, 96),)),
    "mobilenet-v1": (partial(mobilenet_v1, 3, 8), _PICTURE),
    "mobilenet-v2": (partial(inverted, nn.ReLU6), _PICTURE),
    "mobilenet-v2-hard-swish": (partial(inverted, nn.Hardswish), _PICTURE),
    "resnet-cifar": (resnet_cifar, ((3, 32, 32),)),
    "repvgg": (partial(stages, RepBlock(16, 32, 2), RepBlock(32, 32, 1), RepBlock(32, 64, 2, 2), width=64), _PICTURE),
    "mobileone": (partial(stages, MobileOne(16, 32, 2), MobileOne(32, 32, 1), width=32), _PICTURE),
    "densenet": (dense, _PICTURE),
    "res2net": (partial(stages, Res2(16), conv(16, 32, 3, 2), Res2(32), width=32), _PICTURE),
    "vovnet": (partial(stages, OneShot(16, 16, 48), nn.MaxPool2d(3, 2, 1), OneShot(48, 24, 64), width=64), _PICTURE),
    "mixnet": (partial(stages, MixConv(16), conv(16, 36, 1), MixConv(36), conv(36, 48, 1), width=48), _PICTURE),
    "lenet": (Lenet, ((1, 32, 32),)),
    "lightcnn": (partial(stages, Maxout(16, 24), nn.MaxPool2d(2), Maxout(24, 32), width=32), _PICTURE),
    "mobilefacenet": (FaceNet, ((3, 56, 56),)),
    "hrnet": (HighResolution, _PICTURE),
    "channels-last": (ChannelsLast, ((64, 64, 3),)),
    "no-norm-grey": (NoNorm, ((1, 64, 64),)),
    "spectral-norm": (partial(computed, "spectral"), _PICTURE),
    "weight-norm": (partial(computed, "weight"), _PICTURE),
    "group-norm": (group_norms, _PICTURE),
    "squeeze-excite": (partial(stages, Gate(16), Residual(conv(16, 16), Gate(16)), width=16), _PICTURE),
}  # fmt: skip
