"""Parts of detectors, segmenters and keyword spotters that are not timm's, beside the compiler: latency and memory."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.estimators import estimate
from workbench.graph.trace import trace
from workbench.hardware import EthosU

TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")


class Heads(nn.Module):
    """SSD: boxes and classes of two maps, concatenated; two outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())
        self.boxes = nn.ModuleList(nn.Conv2d(c, 24, 3, 1, 1) for c in (32, 64))
        self.classes = nn.ModuleList(nn.Conv2d(c, 6 * 21, 3, 1, 1) for c in (32, 64))

    def forward(self, x):
        maps = [self.stem(x)]
        maps.append(self.down(maps[0]))

        def rows(heads, n):
            return torch.cat([h(f).permute(0, 2, 3, 1).reshape(1, -1, n) for h, f in zip(heads, maps, strict=True)], 1)

        return rows(self.boxes, 4), rows(self.classes, 21)


class Classes(nn.Module):
    """SSD as deployed: a softmax over the few classes of every box."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.face, self.classes = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 15, 3, 1, 1)

    def forward(self, x):
        x = self.stem(x)
        face, classes = self.face(x).permute(0, 2, 3, 1), self.classes(x).permute(0, 2, 3, 1)
        return face.reshape(1, -1, 2).softmax(-1), classes.reshape(1, -1, 5).softmax(-1)


class Distribution(nn.Module):
    """YOLO: the expectation of a softmax over channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 64, 3, 2, 1))
        self.expectation = nn.Conv2d(16, 1, 1, bias=False)

    def forward(self, x):
        y = self.stem(x)
        n = y.shape[2] * y.shape[3]
        return self.expectation(y.reshape(1, 4, 16, n).transpose(1, 2).softmax(1)).reshape(1, 4, n)


class CoordinateAttention(nn.Module):
    """Pooled to a column and to a row, which are permuted, concatenated and split again."""

    def __init__(self):
        super().__init__()
        self.stem, self.squeeze = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 8, 1)
        self.rows, self.columns, self.end = nn.Conv2d(8, 32, 1), nn.Conv2d(8, 32, 1), nn.Conv2d(32, 16, 1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        height, width = x.shape[2:]
        column = F.adaptive_avg_pool2d(x, (height, 1))
        row = F.adaptive_avg_pool2d(x, (1, width)).permute(0, 1, 3, 2)
        y = F.hardswish(self.squeeze(torch.cat([column, row], 2)))
        column, row = torch.split(y, [height, width], 2)
        return self.end(x * self.rows(column).sigmoid() * self.columns(row.permute(0, 1, 3, 2)).sigmoid())


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(40, 64, 9, 2, 4),
            nn.ReLU(),
            nn.Conv1d(64, 64, 9, 1, 4, groups=64),
            nn.Conv1d(64, 64, 1),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 12)

    def forward(self, x):
        return self.head(self.body(x).mean(2))


class Decoder(nn.Module):
    """U-Net: a transposed convolution, concatenated with a skip."""

    def __init__(self):
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.up, self.end = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(32, 4, 1)

    def forward(self, x):
        skip = F.relu(self.stem(x))
        return self.end(torch.cat([skip, F.relu(self.up(F.relu(self.down(skip))))], 1))


class Pyramid(nn.Module):
    """DeepLab: one map at several dilations, with its mean."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), nn.ReLU())
        self.branches = nn.ModuleList(nn.Conv2d(24, 16, 3, 1, d, d) for d in (6, 12, 18))
        self.end = nn.Conv2d(48, 8, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.end(torch.cat([F.relu(branch(x)) for branch in self.branches], 1))


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.end = nn.Conv2d(3, 96, 16, 16), nn.Conv2d(96, 32, 1)

    def forward(self, x):
        return self.end(self.embed(x))


class SharedPad(nn.Module):
    """ESPNet: a map padded once for a convolution and a pool; the compiler comes to the later output first."""

    def __init__(self, pool_first: bool):
        super().__init__()
        self.stem, self.conv, self.pool_first = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3), pool_first

    def forward(self, x):
        x = F.pad(self.stem(x), (1, 1, 1, 1))
        if self.pool_first:
            return F.avg_pool2d(x, 3, 1), self.conv(x)
        return self.conv(x), F.avg_pool2d(x, 3, 1)


class Focus(nn.Module):
    """YOLO: every second pixel of the picture in a layer of its own."""

    def __init__(self):
        super().__init__()
        self.stem, self.end = nn.Conv2d(12, 16, 3, 1, 1), nn.Conv2d(16, 8, 1)

    def forward(self, x):
        pieces = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return self.end(F.relu(self.stem(torch.cat(pieces, 1))))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        (Focus, (3, 64, 64)),
        (partial(SharedPad, True), (3, 32, 32)),
        (partial(SharedPad, False), (3, 32, 32)),
        (Heads, (3, 96, 96)),
        (Classes, (3, 48, 48)),
        (Distribution, (3, 64, 64)),
        (CoordinateAttention, (3, 64, 64)),
        (Keywords, (40, 98)),
        (Decoder, (3, 64, 64)),
        (Pyramid, (3, 96, 96)),
        (Patches, (3, 224, 224)),
    ],
)
def test_latency_and_memory_are_the_compilers(architecture, shape, target):
    torch.manual_seed(0)
    graph, target = trace(architecture().eval(), example_inputs=(torch.randn(1, *shape),)), EthosU(target)
    measurement, estimated = target.measure_graph(graph), estimate(graph, target)
    assert measurement.complete
    assert estimated.complete
    assert estimated.latency_ms == pytest.approx(measurement.latency_ms, rel=0.02)
    assert estimated.sram_bytes == pytest.approx(measurement.sram_bytes, rel=0.05)
