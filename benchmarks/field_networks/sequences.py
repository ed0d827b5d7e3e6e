"""Sound and other sequences: keyword spotting, one-dimensional and temporal convolutions, recurrent heads."""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Encoder
from .layers import Networks, conv, separable

__all__ = ["SEQUENCES"]


class DsCnn(nn.Module):
    """MLPerf Tiny's keyword spotter on 49 x 10 coefficients."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, (10, 4), stride=(2, 2), padding=(4, 1)), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.body = nn.Sequential(*(separable(width, width) for _ in range(3)), nn.Dropout(0.4))
        self.pool, self.fc = nn.AvgPool2d((24, 5)), nn.Linear(width, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.body(self.stem(x))), 1))


def conv1d(reads: int, makes: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv1d(reads, makes, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm1d(makes), nn.ReLU())


class TcResNet(nn.Module):
    """Residual blocks of one-dimensional convolutions; the coefficients are channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(40, 16, 3, padding=1, bias=False)
        self.a, self.b = self.body(16, 24), self.body(24, 32)
        self.sa, self.sb = conv1d(16, 24, 1, 2), conv1d(24, 32, 1, 2)
        self.fc = nn.Conv1d(32, 12, 1)

    @staticmethod
    def body(reads: int, makes: int) -> nn.Module:
        return nn.Sequential(
            *conv1d(reads, makes, 9, 2), nn.Conv1d(makes, makes, 9, padding=4, bias=False), nn.BatchNorm1d(makes)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.a(x) + self.sa(x))
        x = F.relu(self.b(x) + self.sb(x))
        return self.fc(x.mean(dim=2, keepdim=True)).squeeze(2)


class Waveform(nn.Module):
    """M5: raw samples, long strides, pools."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(1, width, kernel_size=80, stride=16), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(4),
            nn.Conv1d(width, width, 3), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(4),
            nn.Conv1d(width, 2 * width, 3), nn.BatchNorm1d(2 * width), nn.ReLU(),
        )  # fmt: skip
        self.fc1 = nn.Linear(2 * width, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        x = F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)
        return F.log_softmax(self.fc1(x), dim=2)


class Temporal(nn.Module):
    """Conv-TasNet's block: dilated depthwise between pointwise, a residual and a skip."""

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.PReLU(), nn.GroupNorm(1, hidden),
            nn.Conv1d(hidden, hidden, 3, padding=dilation, dilation=dilation, groups=hidden), nn.PReLU(),
            nn.BatchNorm1d(hidden),
        )  # fmt: skip
        self.res, self.skip = nn.Conv1d(hidden, channels, 1), nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(x)
        return x + self.res(y), self.skip(y)


class TasNet(nn.Module):
    """Two masks on what an encoder made of the samples; a decoder back to samples."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.encoder, self.bottleneck = nn.Conv1d(1, width, 16, 8, bias=False), nn.Conv1d(width, 24, 1)
        self.blocks = nn.ModuleList(Temporal(24, 48, 2**i) for i in range(3))
        self.mask = nn.Sequential(nn.PReLU(), nn.Conv1d(24, 2 * width, 1), nn.Sigmoid())
        self.decoder = nn.ConvTranspose1d(width, 1, 16, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.encoder(x))
        z, skips = self.bottleneck(y), torch.zeros(())
        for block in self.blocks:
            z, skip = block(z)
            skips = skips + skip
        masks = self.mask(skips).chunk(2, dim=1)
        return torch.cat([self.decoder(mask * y) for mask in masks], 1)


class Causal(nn.Module):
    """WaveNet's gated layer, padded on the left."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.pad = dilation
        self.conv = nn.Conv1d(channels, 2 * channels, 2, dilation=dilation)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv(F.pad(x, (self.pad, 0))).chunk(2, 1)
        return x + self.out(torch.tanh(a) * torch.sigmoid(b))


def wavenet() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 16, 1), *(Causal(16, d) for d in (1, 2, 4, 8)), nn.ReLU(), nn.Conv1d(16, 32, 1))


class Broadcast(nn.Module):
    """BC-ResNet: what is computed on the mean over frequencies is added to all of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f2 = nn.Sequential(
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), groups=channels), nn.BatchNorm2d(channels)
        )
        self.f1 = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 3), padding=(0, 1), groups=channels), nn.BatchNorm2d(channels), nn.SiLU(),
            nn.Conv2d(channels, channels, 1), nn.Dropout2d(0.1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.f2(x)
        return F.relu(y + x + self.f1(y.mean(dim=2, keepdim=True)))


def bcresnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, (2, 1), 2), nn.BatchNorm2d(16), nn.ReLU(), Broadcast(16), Broadcast(16),
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 12, 1), nn.Flatten(),
    )  # fmt: skip


class Recurrent(nn.Module):
    """Convolutions over a spectrogram, a recurrent layer over its frames, the last state judged."""

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU], both: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(1, 16, 3, 2), conv(16, 16, 3, 2))
        self.rnn = layer(16 * 8, 24, batch_first=True, bidirectional=both)
        self.fc = nn.Linear(48 if both else 24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        b, c, t, f = x.shape
        y, _ = self.rnn(x.permute(0, 2, 1, 3).reshape(b, t, c * f))
        return self.fc(y[:, -1])


class TextReader(nn.Module):
    """CRNN without a recurrence (LPRNet's way): columns of a plate as a sequence of letters."""

    def __init__(self, letters: int = 37) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(1, 16), nn.MaxPool2d(2), conv(16, 32), nn.MaxPool2d((2, 2), (2, 1), (0, 1)), conv(32, 48),
            nn.Conv2d(48, 48, (5, 1)), nn.BatchNorm2d(48), nn.ReLU(),
        )  # fmt: skip
        self.out = nn.Linear(48, letters)

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x).mean(2).permute(0, 2, 1)
        return self.out(x).log_softmax(2)


class Anomaly(nn.Module):
    """MLPerf Tiny's anomaly detector: a fully connected autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (320, 64, 64, 8, 64, 64)
        layers = [nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.net = nn.Sequential(*layers, nn.Linear(64, 320))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Streaming(nn.Module):
    """A keyword spotter that is handed the frames it saw before, and hands them on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fc = nn.Conv1d(20, 32, 5), nn.Conv1d(32, 32, 3), nn.Linear(32, 4)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([before, x], 2)
        y = F.relu(self.second(F.relu(self.first(joined))))
        return self.fc(y.mean(2)), joined[:, :, -4:]


class Movements(nn.Module):
    """Steps and falls from an accelerometer: one-dimensional convolutions and torch's own attention."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(conv1d(6, 16, 5, 2), conv1d(16, width, 5, 2))
        self.encoder = Encoder(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.encoder(self.body(x).transpose(1, 2)).mean(1))


SEQUENCES: Networks = {
    "ds-cnn": (DsCnn, ((1, 49, 10),)),
    "tc-resnet": (TcResNet, ((40, 98),)),
    "m5-waveform": (Waveform, ((1, 4000),)),
    "conv-tasnet": (TasNet, ((1, 800),)),
    "wavenet": (wavenet, ((1, 128),)),
    "bc-resnet": (bcresnet, ((1, 40, 64),)),
    "crnn-lstm": (partial(Recurrent, nn.LSTM), ((1, 32, 32),)),
    "crnn-lstm-both-ways": (partial(Recurrent, nn.LSTM, True), ((1, 32, 32),)),
    "crnn-gru": (partial(Recurrent, nn.GRU), ((1, 32, 32),)),
    "plate-reader": (TextReader, ((1, 24, 94),)),
    "anomaly-autoencoder": (Anomaly, ((320,),)),
    "streaming-keywords": (Streaming, ((20, 16), (20, 4))),
    "accelerometer": (Movements, ((6, 128),)),
}
