"""What we say a file will hold is what the exported file holds: its operators, those left to the CPU, its cycles."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.deploy import converted
from workbench.deploy.file_layers import operators
from workbench.graph.trace import trace
from workbench.hardware import resolve
from workbench.hardware.tflite import write_tflite

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.filterwarnings("ignore"),  # the converter's dependencies warn in a dozen ways
]


class Middle(nn.Module):
    """A function and its layers between two convolutions, and a classifier behind."""

    def __init__(self, use: Callable[..., Tensor], width: int, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.layers, self.use = nn.Conv2d(3, 16, 3, 2, 1), nn.ModuleList(layers), use
        self.last, self.head = nn.Conv2d(width, 32, 3, padding=1), nn.Linear(32, 5)
        self.place, self.number = nn.Parameter(torch.rand(1, 2, 16, 16)), nn.Parameter(torch.tensor([1.3]))

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.use(self, self.first(x), *self.layers)).relu()
        scores: Tensor = self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))
        return scores


class Line(nn.Module):
    """A function of a line, between a convolution of a picture and one of lines."""

    def __init__(self, use: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.use, self.first, self.last, self.head = (
            use, nn.Conv2d(3, 8, 3, 2, 1), nn.Conv1d(128, 16, 1), nn.Linear(16, 5)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.use(self.first(x).permute(0, 1, 3, 2).flatten(1, 2))
        scores: Tensor = self.head(self.last(y).relu().mean(2))
        return scores


class Read(nn.Module):
    """A recurrent layer over the first columns of a picture's map; or its last state alone, which is (T, B, H)."""

    def __init__(self, layer: nn.Module, width: int, steps: int = 16, last: bool = False) -> None:
        super().__init__()
        self.first, self.layer, self.head = nn.Conv2d(3, 8, 3, 2, 1), layer, nn.Linear(width, 5)
        self.steps, self.last = steps, last

    def forward(self, x: Tensor) -> Tensor:
        rows = self.first(x).permute(0, 3, 1, 2).flatten(2)[:, : self.steps]
        output, states = self.layer(rows)
        scores: Tensor = self.head(states[-1] if self.last else output)
        return scores


def spatial_attention(s: Middle, x: Tensor, conv: nn.Module) -> Tensor:
    maps = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
    return x * conv(maps).sigmoid()


def channel_attention(s: Middle, x: Tensor, layers: nn.Module) -> Tensor:
    return x * (layers(F.adaptive_avg_pool2d(x, 1)) + layers(F.adaptive_max_pool2d(x, 1))).sigmoid()


def focus(s: Middle, x: Tensor, conv: nn.Module) -> Tensor:
    """Every second pixel in a layer of its own, then numbers before a convolution, and a pad of one side."""
    slices = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    return F.pad(conv(torch.cat(slices, 1).relu() * s.number + 0.1), (0, 1, 0, 1))


def means(s: Middle, x: Tensor, conv: nn.Module, linear: nn.Module, rows: nn.Module) -> Tensor:
    """One map read by a convolution and by its means, of pixels, of columns and rows, and of channels."""
    columns = rows(x.mean(3).permute(0, 2, 1)).mean(1)
    gates = linear(x.mean((2, 3))) + columns + x.mean(2).mean(2)
    centred = x - x.mean(1, keepdim=True)
    normed = (x - x.mean(1, keepdim=True)) * (centred.pow(2).mean(1, keepdim=True) + 1e-6).rsqrt()
    return conv(x) * gates[:, :, None, None] + normed


def largest(s: Middle, x: Tensor, linear: nn.Module) -> Tensor:
    """Gates from the largest value of every channel."""
    return x * linear(x.amax((2, 3)))[:, :, None, None]


def prelu() -> nn.PReLU:
    layer = nn.PReLU(16)
    nn.init.uniform_(layer.weight, 0.1, 0.4)
    return layer


def gates(s: Middle, x: Tensor, first: nn.Module, norm: nn.Module, second: nn.Module) -> Tensor:
    """Layers of lines, gates between them, a residual, a pad, a mean."""
    line = norm(first(x.flatten(2))).relu()
    a, b = second(F.pad(line, (2, 0))).chunk(2, 1)
    line = line + torch.tanh(a) * torch.sigmoid(b)
    return (line * line.mean(2, keepdim=True).sigmoid()).reshape(1, 16, 16, 16)


def windows(s: Middle, x: Tensor, linear: nn.Module) -> Tensor:
    """Attention in windows of 16 pixels as torchvision's Swin computes it, the queries scaled."""
    rows = linear(x.permute(0, 2, 3, 1).reshape(16, 16, 16))
    q, k, v = rows.reshape(16, 16, 3, 2, 8).permute(2, 0, 3, 1, 4)
    y = (q * 0.35 @ k.transpose(-2, -1)).softmax(-1) @ v
    return y.transpose(1, 2).reshape(1, 16, 16, 16).permute(0, 3, 1, 2)


CASES: dict[str, Callable[[], nn.Module]] = {
    "prelu": lambda: Middle(lambda s, x, p: p(x), 16, prelu()),
    "pixel shuffle": lambda: Middle(lambda s, x: F.pixel_shuffle(x, 2), 4),
    "pixel unshuffle": lambda: Middle(lambda s, x: F.pixel_unshuffle(x, 2), 64),
    "channel shuffle": lambda: Middle(lambda s, x: F.channel_shuffle(x, 4), 16),
    "glu": lambda: Middle(lambda s, x: F.glu(x, 1), 8),
    "lstm": lambda: Read(nn.LSTM(128, 16, batch_first=True), 16),
    "lstm both ways": lambda: Read(nn.LSTM(128, 16, batch_first=True, bidirectional=True), 32),
    "gru both ways": lambda: Read(nn.GRU(128, 16, batch_first=True, bidirectional=True), 32, 4),
    "last state of a gru": lambda: Read(nn.GRU(128, 16, batch_first=True), 16, 4, True),
    "rnn": lambda: Read(nn.RNN(128, 16, batch_first=True), 16, 4),
    "log softmax": lambda: Middle(lambda s, x: F.log_softmax(x, 3), 16),
    "mish": lambda: Middle(lambda s, x: F.mish(x), 16),
    "softplus": lambda: Middle(lambda s, x: F.softplus(x), 16),
    "corners aligned": lambda: Middle(lambda s, x: F.interpolate(x, (31, 31), mode="bilinear", align_corners=True), 16),
    "instance norm": lambda: Middle(lambda s, x, n: n(x), 16, nn.InstanceNorm2d(16)),
    "between ones": lambda: Middle(lambda s, x: F.hardtanh(x), 16),
    "a map of the model beside": lambda: Middle(lambda s, x: torch.cat([x, s.place], 1), 18),
    "spatial attention": lambda: Middle(spatial_attention, 16, nn.Conv2d(2, 1, 7, padding=3)),
    "channel attention": lambda: Middle(
        channel_attention, 16, nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1))
    ),
    "slices, numbers, pads": lambda: Middle(focus, 16, nn.Conv2d(64, 16, 1)),
    "means": lambda: Middle(means, 16, nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 16), nn.Linear(16, 16)),
    "largest places": lambda: Middle(largest, 16, nn.Linear(16, 16)),
    "largest of a line": lambda: Line(lambda x: F.max_pool1d(x, 3, 2, 1)),
    "windows": lambda: Middle(windows, 16, nn.Linear(16, 48)),
    "lines": lambda: Middle(gates, 16, nn.Conv1d(16, 16, 5, padding=2), nn.BatchNorm1d(16), nn.Conv1d(16, 32, 3)),
    "smallest of channels": lambda: Middle(lambda s, x: x * x.amin(1, keepdim=True), 16),
    "averages of windows of two sizes": lambda: Middle(lambda s, x: F.adaptive_avg_pool2d(x, (7, 5)), 16),
    "bicubic": lambda: Middle(lambda s, x: F.interpolate(x, scale_factor=2, mode="bicubic"), 16),
    "largest of windows": lambda: Middle(lambda s, x: F.adaptive_max_pool2d(x, 8), 16),
}
# views, which cost nothing, and requantisations, which depend on the calibration
_ASIDE = ("RESHAPE", "QUANTIZE")


@pytest.mark.parametrize("name", CASES)
def test_the_exported_file_is_the_one_that_is_verified(name: str) -> None:
    torch.manual_seed(0)
    model, target = CASES[name]().eval(), resolve("ethos-u65-512")
    graph = trace(model, (3, 32, 32))
    values = {key: value.numpy() for key, value in model.state_dict().items()}
    ours = write_tflite(graph, lambda key, shape: values.get(key)).data
    theirs = converted(model, torch.rand(4, 3, 32, 32)).data
    kinds, exported = (Counter(op.kind for op in operators(data) if op.kind not in _ASIDE) for data in (ours, theirs))
    assert kinds == exported
    verified, deployed = target.measure(ours), target.measure(theirs)
    on_cpu, left = (Counter(op.partition(" ")[0] for op in m.cpu_ops) for m in (verified, deployed))
    assert on_cpu == left
    assert verified.cycles == pytest.approx(deployed.cycles, rel=0.05)
