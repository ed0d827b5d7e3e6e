"""Pictures from pictures (super-resolution, denoising, autoencoders, style), and networks that read two of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Networks, Residual, conv, separable

__all__ = ["PICTURES"]


def espcn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.Tanh(), nn.Conv2d(32, 16, 3, padding=1), nn.Tanh(),
        nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2),
    )  # fmt: skip


def fsrcnn() -> nn.Module:
    middle = [layer for _ in range(2) for layer in (nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12))]
    return nn.Sequential(
        nn.Conv2d(1, 28, 5, padding=2), nn.PReLU(28), nn.Conv2d(28, 12, 1), nn.PReLU(12), *middle,
        nn.Conv2d(12, 28, 1), nn.PReLU(28), nn.ConvTranspose2d(28, 1, 9, stride=2, padding=4, output_padding=1),
    )  # fmt: skip


class Edsr(nn.Module):
    """Residual blocks without norms, scaled; the mean of the colours taken out and put back."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.45, 0.44, 0.40]).view(1, 3, 1, 1))
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(2)
        )
        self.tail = nn.Sequential(nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.get_buffer("mean")
        x = y = self.head(x - mean)
        for block in self.blocks:
            y = y + block(y).mul(0.1)
        return self.tail(x + y) + mean


class Distillation(nn.Module):
    """IMDN's block: a quarter of the channels kept at every layer, the rest refined."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.kept = channels // 4
        self.rest = channels - self.kept
        self.c1, self.c2 = nn.Conv2d(channels, channels, 3, 1, 1), nn.Conv2d(self.rest, channels, 3, 1, 1)
        self.c3, self.c4 = nn.Conv2d(self.rest, self.kept, 3, 1, 1), nn.Conv2d(3 * self.kept, channels, 1)
        self.act = nn.LeakyReLU(0.05)

    def forward(self, x: Tensor) -> Tensor:
        a, rest = torch.split(self.act(self.c1(x)), [self.kept, self.rest], dim=1)
        b, rest = torch.split(self.act(self.c2(rest)), [self.kept, self.rest], dim=1)
        return self.c4(torch.cat([a, b, self.act(self.c3(rest))], dim=1)) + x


def imdn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, 1, 1), Distillation(), Distillation(), nn.Conv2d(24, 12, 3, 1, 1), nn.PixelShuffle(2)
    )


class Denoiser(nn.Module):
    """DnCNN: the noise is learned and taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 24, 3, 1, 1), nn.ReLU(), *(conv(24, 24) for _ in range(3)))
        self.out = nn.Conv2d(24, 1, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.out(self.body(x))


class Curves(nn.Module):
    """Zero-DCE: curves for every pixel, applied to the picture several times over."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(32, 12, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.c1(x))
        curves = torch.tanh(self.c3(torch.cat([a, F.relu(self.c2(a))], 1)))
        for r in torch.split(curves, 3, dim=1):
            x = x + r * (torch.pow(x, 2) - x)
        return x


class Style(nn.Module):
    """Fast style transfer: mirrored borders and instance norms."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReflectionPad2d(4), nn.Conv2d(3, 16, 9), nn.InstanceNorm2d(16, affine=True), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(16, 32, 3, 2), nn.InstanceNorm2d(32, affine=True), nn.ReLU(),
            Residual(nn.ReflectionPad2d(1), nn.Conv2d(32, 32, 3), nn.InstanceNorm2d(32, affine=True), nn.ReLU()),
            nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(32, 3, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Autoencoder(nn.Module):
    """A convolutional autoencoder with a narrow vector in the middle."""

    def __init__(self, latent: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(32 * 8 * 8, latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent, 32 * 8 * 8), nn.ReLU(), nn.Unflatten(1, (32, 8, 8)),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1), nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def generator() -> nn.Module:
    """DCGAN's: a picture from a vector."""
    return nn.Sequential(
        nn.ConvTranspose2d(32, 48, 4, 1, 0, bias=False), nn.BatchNorm2d(48), nn.ReLU(),
        nn.ConvTranspose2d(48, 24, 4, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.ConvTranspose2d(24, 12, 4, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
        nn.ConvTranspose2d(12, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


class Siamese(nn.Module):
    """One encoder on two pictures, their difference judged."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv(1, 16, 3, 2), separable(16, 32, 2), separable(32, 64, 2))
        self.out = nn.Linear(64, 1)

    def embed(self, x: Tensor) -> Tensor:
        return self.encoder(x).mean((2, 3))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.sigmoid(self.out((self.embed(a) - self.embed(b)).abs()))


class Tracker(nn.Module):
    """SiamFC: a small map slides over a larger one, as a depthwise convolution by what the network computed."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2))
        self.template, self.search = nn.Conv2d(32, 16, 1), nn.Conv2d(32, 16, 1)
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, template: Tensor, search: Tensor) -> Tensor:
        z, x = self.template(self.features(template)), self.search(self.features(search))
        return self.head(x * z.mean((2, 3), keepdim=True))


class PictureAndNumbers(nn.Module):
    """A picture and a few readings of sensors, joined behind the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.rest = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 3))

    def forward(self, picture: Tensor, readings: Tensor) -> Tensor:
        return self.out(torch.cat([self.eye(picture), self.rest(readings)], dim=1))


class DepthAndColour(nn.Module):
    """Two streams, RGB and depth, added where they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.depth = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2)), conv(1, 32, 5, 4)
        self.rest = nn.Sequential(conv(32, 48, 3, 2), nn.Conv2d(48, 4, 1))

    def forward(self, colour: Tensor, depth: Tensor) -> Tensor:
        return self.rest(F.relu(self.colour(colour) + self.depth(depth)))


_PICTURE = ((3, 48, 48),)
PICTURES: Networks = {
    "espcn": (espcn, ((1, 48, 48),)),
    "fsrcnn": (fsrcnn, ((1, 48, 48),)),
    "edsr": (Edsr, _PICTURE),
    "imdn": (imdn, _PICTURE),
    "dncnn": (Denoiser, ((1, 64, 64),)),
    "zero-dce": (Curves, _PICTURE),
    "style-transfer": (Style, _PICTURE),
    "autoencoder": (Autoencoder, ((1, 32, 32),)),
    "dcgan-generator": (generator, ((32, 1, 1),)),
    "siamese": (Siamese, ((1, 64, 64), (1, 64, 64))),
    "siamese-tracker": (Tracker, ((3, 32, 32), (3, 64, 64))),
    "picture-and-numbers": (PictureAndNumbers, ((3, 64, 64), (6,))),
    "depth-and-colour": (DepthAndColour, ((3, 64, 64), (1, 64, 64))),
}
