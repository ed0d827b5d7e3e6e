"""Operators on lines [N, C, W], sound and other signals, as those of maps of one row [N, C, 1, W].

The converter keeps maps channels last between layers, but turns a line before and behind every layer of its own, which
costs an accelerator many times what the layer does. So all that runs element by element, along the line or over its
channels is exported of rows, and the line itself is turned where something else reads it. `hardware.lowering` knows
the same rows.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Lines"]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # orders of dimensions: channels last, and back
_IN_ROW = (0, 1, 3)  # where the dimensions of a line stand in its row


class Lines:
    """The lines that layers have made. elementwise: functions that run on rows as on lines."""

    def __init__(self, elementwise: frozenset[Any]) -> None:
        self.rows = WeakTensorKeyDictionary()
        self.elementwise = elementwise

    def result(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a function gives for lines, computed on their rows; None where it is exported as it is."""
        if not args or not _is_line(args[0]):
            return self._joined(*args, **kwargs) if function in (torch.cat, torch.concat) else None
        if args[0] in self.rows and (function in self.elementwise or function is F.batch_norm):
            return self._alike(function, args, kwargs)
        form = _LAYERS.get(function) or (_FORMS.get(function) if args[0] in self.rows else None)
        try:
            made = None if form is None else form(self._row(args[0]), *args[1:], **kwargs)
        except TypeError:  # called with more than the form reads
            return None
        if isinstance(made, tuple):
            return tuple(map(self._line, made))
        return made if made is None or made.dim() < 4 else self._line(made)

    def _alike(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
        """The same for all elements, or all of a channel; beside rows there are numbers and what a norm holds."""
        beside = [x for x in args if isinstance(x, Tensor) and x.numel() > 1 and x not in self.rows]
        if beside and function is not F.batch_norm:
            return None
        return self._line(function(*(self.rows[x] if _is_line(x) else x for x in args), **kwargs))

    def _joined(self, tensors: Sequence[Tensor] = (), dim: int = 0) -> Tensor | None:
        if not tensors or not all(_is_line(x) and x in self.rows for x in tensors):
            return None
        return self._line(torch.cat([self.rows[x] for x in tensors], _IN_ROW[dim % 3]))

    def _row(self, line: Tensor) -> Tensor:
        row: Tensor | None = self.rows.get(line)
        return line.permute(0, 2, 1).unsqueeze(1).permute(*_FIRST) if row is None else row

    def _line(self, row: Tensor) -> Tensor:
        line = row.permute(*_LAST).squeeze(1).permute(0, 2, 1)
        self.rows[line] = row
        return line


def _is_line(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() == 3


def _number(n: Any) -> int:
    return int(n[0] if isinstance(n, (tuple, list)) else n)


def _convolution(
    row: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    across = padding if isinstance(padding, str) else (0, _number(padding))
    step, spread = (1, _number(stride)), (1, _number(dilation))
    return torch.conv2d(row, weight.unsqueeze(2), bias, step, across, spread, groups)


def _pad(row: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor | None:
    """Of elements, with a constant: channels last."""
    if mode != "constant" or len(pad) != 2:
        return None
    return F.pad(row.permute(*_LAST), [0, 0, *pad], value=value).permute(*_FIRST)


def _average(
    row: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    kernel = _number(kernel_size)
    step = _number(stride) if stride else kernel
    return F.avg_pool2d(row, (1, kernel), (1, step), (0, _number(padding)), ceil_mode, count_include_pad)


def _largest(
    row: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:  # fmt: skip
    if return_indices:
        return None
    kernel = _number(kernel_size)
    step = _number(stride) if stride else kernel
    spread = (1, _number(dilation))
    return torch.max_pool2d(row, (1, kernel), (1, step), (0, _number(padding)), spread, ceil_mode)


def _mean(row: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor | None:
    """Of all elements."""
    along = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if along not in ((2,), (-1,)):
        return None
    y = row.mean((2, 3), keepdim=True)
    return y if keepdim else y.flatten(1)


def _parted(row: Tensor, output_size: Any) -> Tensor:
    """Means of windows side by side; one window is a mean."""
    windows = _number(output_size)
    return row.mean((2, 3), keepdim=True) if windows == 1 else F.adaptive_avg_pool2d(row, (1, windows))


def _chunks(row: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    return row.chunk(chunks, _IN_ROW[dim % 3])


def _parts(row: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    return row.split(split_size, _IN_ROW[dim % 3])


# what makes a row of any line
_LAYERS: Mapping[Any, Callable[..., Tensor | None]] = MappingProxyType(
    {
        torch.conv1d: _convolution,
        torch.avg_pool1d: _average,
        **dict.fromkeys((torch.max_pool1d, F.max_pool1d), _largest),
    }
)
# what takes rows alone; None where the line is needed
_FORMS: Mapping[Any, Callable[..., Tensor | tuple[Tensor, ...] | None]] = MappingProxyType(
    {
        F.pad: _pad,
        torch.adaptive_avg_pool1d: _parted,
        **dict.fromkeys((torch.mean, Tensor.mean), _mean),
        **dict.fromkeys((torch.chunk, Tensor.chunk), _chunks),
        **dict.fromkeys((torch.split, Tensor.split), _parts),
    }
)
