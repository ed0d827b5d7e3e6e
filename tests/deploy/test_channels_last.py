"""A module in the forms that accelerators take computes what it computed."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.deploy.channels_last import ChannelsLast


class Behind(nn.Module):
    """A function behind a convolution."""

    def __init__(self, use: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.use = nn.Conv2d(3, 8, 3), use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.first(x))


def heads(x: Tensor) -> Tensor:
    return x.reshape(1, 4, 2, -1).transpose(1, 2)


def norm(x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(dim=1, keepdim=True) + 1e-6) * torch.linspace(1, 2, 8)[:, None, None]


USES: dict[str, Callable[[Tensor], Tensor]] = {
    "pixels": lambda x: x.mean((2, 3)),
    "pixels, kept": lambda x: torch.mean(x, dim=[-2, -1], keepdim=True),
    "pool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "rows": lambda x: x.sum(2),
    "columns": lambda x: x.mean(-1),
    "columns, kept": lambda x: torch.sum(x, 3, True),
    "channels": lambda x: x.mean(1),
    "channels, kept": lambda x: x.mean(1, keepdim=True),
    "everything": lambda x: x.mean(),
    "channels and rows": lambda x: x.mean((1, 2)),
    "of doubles": lambda x: x.mean((2, 3), dtype=torch.float64),
    "heads": lambda x: heads(x).mean(3),
    "heads and values": lambda x: heads(x).mean((2, 3), keepdim=True),
    "channels last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
    "channels last, channels": lambda x: x.permute(0, 2, 3, 1).mean(-1, keepdim=True),
    "and back": lambda x: x.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2).mean((2, 3)),
    "largest": lambda x: x.amax((2, 3)),
    "largest of rows": lambda x: x.amax(2, keepdim=True),
    "largest of columns": lambda x: x.max(3)[0],
    "where the largest is": lambda x: x.max(3)[1],
    "largest of all": lambda x: x.max(),
    "larger of two": lambda x: torch.max(x, x.relu()),
    "largest channel": lambda x: x.max(1, keepdim=True)[0],
    "averages of windows": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "averages of windows of columns": lambda x: F.adaptive_avg_pool2d(x, (None, 4)),
    "largest of windows": lambda x: F.adaptive_max_pool2d(x, 4),
    "where the largest of windows are": lambda x: F.adaptive_max_pool2d(x, 4, return_indices=True)[1],
    "bicubic": lambda x: F.interpolate(x, (7, 11), mode="bicubic"),
    "bicubic by a factor": lambda x: F.interpolate(x, scale_factor=(1.5, 2.3), mode="bicubic"),
    "bicubic, corners kept": lambda x: F.interpolate(x, (9, 3), mode="bicubic", align_corners=True) * 2,
    "bicubic without stairs": lambda x: F.interpolate(x, (3, 3), mode="bicubic", antialias=True),
    "windows as columns": lambda x: F.unfold(x, 3, padding=1, stride=2),
    "windows apart": lambda x: F.unfold(x.softmax(1), (2, 3), dilation=2, padding=(0, 1)),
    "pad": lambda x: F.pad(x, (0, 1, 2, 0)),
    "pad of columns": lambda x: F.pad(x, (2, 1), value=0.5),
    "pad of channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)),
    "reflecting pad": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "norm written in code": norm,
    "joined": lambda x: torch.cat([x * torch.tensor([2.0]), x, F.pad(x, (0, 0))], 1),
    "joined rows": lambda x: torch.cat((x * torch.tensor([2.0]), x), dim=-2),
    "one from it": lambda x: 1 - x.mean(1, keepdim=True).sigmoid(),
}


@pytest.mark.parametrize("name", USES)
def test_values_stay(name: str) -> None:
    torch.manual_seed(0)
    module = Behind(USES[name]).eval().double()
    picture = torch.rand(1, 3, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ChannelsLast(module)(picture.permute(0, 2, 3, 1)), module(picture))


def parts(x: Tensor) -> Tensor:
    """Queries, keys and values of windows of nine pixels."""
    return torch.cat([x, x.relu(), x + 1], 1).flatten(2)[..., :54].reshape(1, 3, 2, 4, 6, 9).permute(1, 4, 2, 5, 3, 0)


SELECTED: dict[str, Callable[[Tensor], Tensor]] = {
    "by number": lambda x: parts(x)[0] * 0.5 + parts(x)[-1],
    "by numbers": lambda x: parts(x)[1, 2:4] * 0.5 - parts(x)[2, ..., 0:1][2:4],
    "unbound": lambda x: torch.stack([part.tanh() for part in parts(x)]),
    "select": lambda x: parts(x).select(0, 1).tanh() + parts(x).select(1, 1)[0],
    "by a tensor": lambda x: parts(x)[torch.tensor([2, 0])].tanh(),
}


@pytest.mark.parametrize("name", SELECTED)
def test_values_of_one_of_many_stay(name: str) -> None:
    torch.manual_seed(0)
    module = Behind(SELECTED[name]).eval().double()
    picture = torch.rand(1, 3, 9, 10, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ChannelsLast(module)(picture.permute(0, 2, 3, 1)), module(picture))


def weights(*shape: int) -> Tensor:
    return torch.linspace(-1, 1, torch.Size(shape).numel(), dtype=torch.float64).sin().reshape(shape)


def line(x: Tensor) -> Tensor:
    """What a layer makes of the pixels in a row."""
    return F.conv1d(x.flatten(2), weights(6, 8, 3), weights(6), padding=1)


def gates(x: Tensor) -> Tensor:
    a, b = line(x).chunk(2, 1)
    return a.tanh() * torch.sigmoid(b)


LINES: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": line,
    "layers": lambda x: F.conv1d(F.relu(line(x)), weights(6, 1, 2), stride=2, dilation=(3,), groups=6),
    "same": lambda x: F.conv1d(line(x), weights(6, 6, 5), padding="same"),
    "norm": lambda x: F.batch_norm(line(x), weights(6), weights(6) ** 2 + 1, weights(6), weights(6)),
    "gates": gates,
    "residual": lambda x: line(x) + F.relu(line(x)) * 2 - 1,
    "beside another": lambda x: line(x) + x.flatten(2)[:, :6],
    "scaled by channel": lambda x: line(x) * weights(6, 1),
    "pad": lambda x: F.pad(line(x), (2, 1), value=0.5),
    "pad of channels": lambda x: F.pad(line(x), (0, 0, 1, 1)),
    "reflecting pad": lambda x: F.pad(line(x), (2, 1), mode="reflect"),
    "pool": lambda x: F.avg_pool1d(line(x), 3, 2, 1),
    "largest": lambda x: F.max_pool1d(F.max_pool1d(line(x), 3, 2, padding=1), 2, ceil_mode=True),
    "windows": lambda x: F.adaptive_avg_pool1d(line(x), 9) + F.adaptive_avg_pool1d(line(x), 1),
    "largest of another": lambda x: F.max_pool1d(x.flatten(2), 4),
    "mean": lambda x: line(x).mean(2),
    "mean, kept": lambda x: line(x) * line(x).mean(-1, keepdim=True).sigmoid(),
    "mean of channels": lambda x: line(x).mean(1, keepdim=True),
    "joined": lambda x: torch.cat([line(x), gates(x)], dim=1),
    "joined elements": lambda x: torch.cat((line(x), line(x)), -1),
    "joined with another": lambda x: torch.cat([line(x), x.flatten(2)], 1),
    "parts": lambda x: torch.cat(line(x).split([1, 3, 2], 1)[::-1], 1),
    "in place": lambda x: F.relu(line(x), inplace=True).add_(1.0),
    "tokens": lambda x: line(x).transpose(1, 2).softmax(-1),
    "one picture": lambda x: F.conv1d(x[0].flatten(1), weights(6, 8, 3))[None],
}


@pytest.mark.parametrize("name", LINES)
def test_values_of_lines_stay(name: str) -> None:
    torch.manual_seed(0)
    module = Behind(LINES[name]).eval().double()
    pictures = torch.rand(2, 3, 9, 7, dtype=torch.float64)[: 1 if name == "one picture" else 2]
    with torch.no_grad():
        torch.testing.assert_close(ChannelsLast(module)(pictures.permute(0, 2, 3, 1)), module(pictures))


@pytest.mark.parametrize("name", ["pixels", "columns", "channels, kept", "heads", "norm written in code"])
def test_means_are_of_maps_with_their_dimensions_or_of_matrices(name: str) -> None:
    """What drops dimensions of a map the converter brings to torch's order; its last one is not for accelerators."""
    module = ChannelsLast(Behind(USES[name]).eval())
    program = torch.export.export(module, (torch.rand(1, 9, 7, 3),), strict=False)
    means = [node for node in program.graph.nodes if str(node.target) == "aten.mean.dim"]
    assert means
    for mean in means:
        of_matrix = mean.args[0].meta["val"].dim() == 2 and mean.args[1] == [1]
        assert of_matrix or (mean.args[2] is True and not {1, -3} & set(mean.args[1]))
