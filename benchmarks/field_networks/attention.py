"""Gates and attention written by hand: CBAM, coordinates, ECA, small transformers, mixers."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .classifiers import headed
from .layers import Networks, Residual, conv, separable

__all__ = ["ATTENTION"]


class Cbam(nn.Module):
    """Channels weighed by mean and maximum over the map, places by mean and maximum over the channels."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool, self.max_pool = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False), nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
        )  # fmt: skip
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(self.fc(self.avg_pool(x)) + self.fc(self.max_pool(x)))
        mean, largest = torch.mean(x, dim=1, keepdim=True), torch.max(x, dim=1, keepdim=True)[0]
        return x * torch.sigmoid(self.spatial(torch.cat([mean, largest], dim=1)))


class CoordConv(nn.Module):
    """Two maps with the places of the pixels, concatenated."""

    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(reads + 2, makes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        ys = torch.linspace(-1, 1, h, device=x.device).view(1, 1, h, 1).expand(b, 1, h, w)
        xs = torch.linspace(-1, 1, w, device=x.device).view(1, 1, 1, w).expand(b, 1, h, w)
        return F.relu(self.conv(torch.cat([x, ys, xs], 1)))


class CoordinateAttention(nn.Module):
    """Pooled to a column and to a row, which are convolved as one and split again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 8)
        self.pool_h, self.pool_w = nn.AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((1, None))
        self.conv1, self.bn1, self.act = nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner), nn.Hardswish()
        self.conv_h, self.conv_w = nn.Conv2d(inner, channels, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, _, h, w = x.size()
        y = torch.cat([self.pool_h(x), self.pool_w(x).permute(0, 1, 3, 2)], dim=2)
        rows, columns = torch.split(self.act(self.bn1(self.conv1(y))), [h, w], dim=2)
        return x * self.conv_h(rows).sigmoid() * self.conv_w(columns.permute(0, 1, 3, 2)).sigmoid()


class Eca(nn.Module):
    """A one-dimensional convolution over the means of the channels."""

    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, kernel, padding=(kernel - 1) // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.avg_pool(x).squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * y.sigmoid().expand_as(x)


class Selective(nn.Module):
    """SKNet: two kernels, weighed against each other by a softmax."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(channels, channels, k) for k in (3, 5))
        self.fc = nn.Sequential(nn.Linear(channels, channels // reduction), nn.ReLU(inplace=True))
        self.fcs = nn.ModuleList(nn.Linear(channels // reduction, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        made = torch.stack([layer(x) for layer in self.convs], dim=1)
        z = self.fc(made.sum(dim=1).mean(-1).mean(-1))
        weights = torch.stack([fc(z) for fc in self.fcs], dim=1).softmax(dim=1)
        return (made * weights.unsqueeze(-1).unsqueeze(-1)).sum(dim=1)


class Heads(nn.Module):
    """Attention as every tutorial has it: one layer for queries, keys and values, a reshape, a permute."""

    def __init__(self, dim: int, heads: int = 2) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Encoder(nn.Module):
    def __init__(self, dim: int, ratio: int = 2) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), Heads(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    def __init__(self, pixels: int = 64, patch: int = 8, dim: int = 48) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) / 10)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (pixels // patch) ** 2, dim) / 10)
        self.blocks = nn.Sequential(*(Encoder(dim) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class MobileVit(nn.Module):
    """A convolution, a transformer over every fourth pixel, both concatenated."""

    def __init__(self, channels: int, dim: int = 32) -> None:
        super().__init__()
        self.local, self.into = conv(channels, channels), nn.Conv2d(channels, dim, 1, bias=False)
        self.encoder, self.back, self.fuse = Encoder(dim), conv(dim, channels, 1), conv(2 * channels, channels)
        self.ph = self.pw = 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.into(self.local(x))
        b, d, h, w = y.shape
        y = y.reshape(b, d, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(b * 4, h * w // 4, d)
        y = self.encoder(y)
        y = y.reshape(b, 2, 2, h // 2, w // 2, d).permute(0, 5, 3, 1, 4, 2).reshape(b, d, h, w)
        return self.fuse(torch.cat((x, self.back(y)), 1))


class Mixer(nn.Module):
    """MLP-Mixer: layers across places, then across channels."""

    def __init__(self, tokens: int = 64, dim: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 8, 8)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.tokens = nn.Sequential(nn.Linear(tokens, 32), nn.GELU(), nn.Linear(32, tokens))
        self.channels = nn.Sequential(nn.Linear(dim, 96), nn.GELU(), nn.Linear(96, dim))
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(x.mean(1))


class PoolFormer(nn.Module):
    """A pool in the place of attention, a learned scale on every branch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, dim), nn.GroupNorm(1, dim)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.mlp = nn.Sequential(nn.Conv2d(dim, 2 * dim, 1), nn.GELU(), nn.Conv2d(2 * dim, dim, 1))
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), 0.7))
        self.layer_scale_2 = nn.Parameter(torch.full((dim,), 0.6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.layer_scale_1.unsqueeze(-1).unsqueeze(-1) * (self.pool(y) - y)
        return x + self.layer_scale_2.unsqueeze(-1).unsqueeze(-1) * self.mlp(self.norm2(x))


def convmixer(dim: int = 32) -> nn.Module:
    layers = [
        nn.Sequential(
            Residual(nn.Conv2d(dim, dim, 5, groups=dim, padding="same"), nn.GELU(), nn.BatchNorm2d(dim)),
            nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim),
        )
        for _ in range(2)
    ]  # fmt: skip
    return headed(nn.Sequential(nn.Conv2d(3, dim, 4, 4), nn.GELU(), nn.BatchNorm2d(dim), *layers), dim)


def between(*layers: nn.Module, width: int = 32) -> nn.Module:
    return headed(nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), *layers), width)


_PICTURE = ((3, 64, 64),)
ATTENTION: Networks = {
    "cbam": (partial(between, Cbam(32), separable(32, 48), Cbam(48), width=48), _PICTURE),
    "coordconv": (lambda: headed(nn.Sequential(CoordConv(3, 16), nn.MaxPool2d(2), CoordConv(16, 32)), 32), _PICTURE),
    "coordinate-attention": (partial(between, CoordinateAttention(32), separable(32, 48), width=48), _PICTURE),
    "eca": (partial(between, Residual(conv(32, 32), Eca()), separable(32, 48, 2), Eca(), width=48), _PICTURE),
    "sknet": (partial(between, Selective(32)), _PICTURE),
    "vit": (Vit, _PICTURE),
    "mobilevit": (partial(between, MobileVit(32)), _PICTURE),
    "mlp-mixer": (Mixer, _PICTURE),
    "poolformer": (partial(between, PoolFormer(32), PoolFormer(32)), _PICTURE),
    "convmixer": (convmixer, _PICTURE),
}
