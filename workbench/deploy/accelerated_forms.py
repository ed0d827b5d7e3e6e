"""Operators on tensors of rank four in forms that accelerators take whole; the values stay, but for orders of sums.

Where such a tensor stands (`Order`) decides on the form. A form is None where there is none: the operator is exported
as it is. Permutes around one cancel with those of the converter, or with those of the next form.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..hardware.lowering import TRAILING, passes, window_of_largest
from ..hardware.resize_matrix import bicubic_matrix

__all__ = ["FORMS", "SELECTS", "Form", "Order", "elementwise", "joined"]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # orders of dimensions: channels last, and back


class Order(Enum):
    """Where a tensor [N, C, H, W] stands in the file: as torch has it, as a map channels last, or as one by permutes
    that a form brought, between which the converter changes nothing.
    """

    TORCH = 0
    MAP = 1
    PERMUTED = 2


class Form(NamedTuple):
    """result: of the operator. order: of the tensors of rank four in it."""

    result: Any
    order: Order = Order.MAP


def elementwise(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Form:
    """Of permuted maps, and numbers and tensors of the model beside them."""
    return Form(function(*map(_permuted, args), **kwargs).permute(*_FIRST), Order.PERMUTED)


def joined(tensors: Sequence[Tensor], dim: int = 0) -> Form:
    """A concatenation of permuted maps."""
    axis = (dim % 4 - 2) % 3 + 1 if dim % 4 else 0
    return Form(torch.cat([_permuted(x) for x in tensors], axis).permute(*_FIRST), Order.PERMUTED)


def _permuted(x: Any) -> Any:
    if not isinstance(x, Tensor) or x.numel() == 1:
        return x
    return x.reshape(*[1] * (4 - x.dim()), *x.shape).permute(*_LAST)


def _reduction(reduce: Callable[..., Tensor]) -> Callable[..., Form | None]:
    """Over rows, columns or both of a map: dimensions go afterwards. Over the last ones, as deployed: of a matrix."""

    def form(order: Order, x: Tensor, dim: Any = None, keepdim: bool = False) -> Form | None:
        a_map = order != Order.TORCH
        axes = tuple(sorted((a - 2) % 3 + 1 if a_map and a else a for a in _axes(dim)))  # as they are deployed
        if axes in TRAILING:
            y = x.permute(*_LAST) if a_map else x
            kept = y.shape[: axes[0]]
            y = reduce(y.reshape(kept.numel(), -1), 1).reshape(*kept, *[1] * (len(axes) if keepdim else 0))
            return Form(y.permute(*_FIRST), Order.PERMUTED) if a_map and keepdim else Form(y, order)
        if not a_map or axes not in ((1, 2), (1,), (2,)):
            return None
        if order == Order.PERMUTED:
            y = reduce(x.permute(*_LAST), axes, keepdim=True).permute(*_FIRST)
        else:
            y = reduce(x, _axes(dim), keepdim=True)
        if keepdim:
            return Form(y, order)
        return Form(y.flatten(1) if len(axes) == 2 else y.permute(*_LAST).squeeze(axes).permute(0, 2, 1))

    return form


def _average_pool(order: Order, x: Tensor, output_size: Any) -> Form | None:
    """To one pixel: a mean. Of windows of several sizes: pools of the windows of one size."""
    if output_size in (1, (1, 1), [1, 1]):
        return _MEAN(order, x, (2, 3), keepdim=True)
    return _pools(F.avg_pool2d, x, output_size)


def _largest_of_windows(order: Order, x: Tensor, output_size: Any, return_indices: bool = False) -> Form | None:
    """Of windows of several sizes: pools of the windows of one size."""
    return None if return_indices else _pools(F.max_pool2d, x, output_size)


def _pools(pool: Callable[..., Tensor], x: Tensor, output_size: Any) -> Form | None:
    pair = (output_size, output_size) if isinstance(output_size, int) else output_size
    windows = tuple(m or n for n, m in zip(x.shape[2:], pair, strict=True))  # None: as many as there are elements
    if not any(n % m for n, m in zip(x.shape[2:], windows, strict=True)):
        return None
    for rows, columns in passes(x.shape[2:], windows):
        axis, runs = (2, rows) if len(rows) > 1 else (3, columns)
        parts = []
        for run in runs:
            row, column = (run, columns[0]) if axis == 2 else (rows[0], run)
            y = x.narrow(axis, run.start, run.stop - run.start) if len(runs) > 1 else x
            parts.append(pool(y, (row.kernel, column.kernel), (row.stride, column.stride)))
        x = torch.cat(parts, axis) if len(parts) > 1 else parts[0]
    return Form(x)


def _largest(order: Order, x: Tensor, dim: Any = (), keepdim: bool = False) -> Form | None:
    """Over rows, columns or both of a map: a max pool."""
    axes = _axes(dim)
    window = None if order == Order.TORCH else window_of_largest(x.shape, axes)
    if window is None:
        return None
    y = F.max_pool2d(x, window)
    return Form(y if keepdim else y.squeeze(axes))


def _largest_and_where(order: Order, x: Tensor, dim: Any, keepdim: bool = False) -> Form | None:
    """The values by a pool; the positions, where somebody reads them, as before."""
    form = _largest(order, x, dim, keepdim) if isinstance(dim, int) else None
    return None if form is None else Form(torch.return_types.max((form.result, torch.max(x, dim, keepdim)[1])))


def _resized(
    order: Order, x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Form | None:  # fmt: skip
    """Bicubic: columns, then rows, each by a matrix."""
    if mode != "bicubic" or antialias or recompute_scale_factor:
        return None

    def resized(y: Tensor, axis: int) -> Tensor:
        """The last dimension of `y` as the one of the map at `axis`, 0 for rows and 1 for columns."""
        new_size, factor = (v[axis] if isinstance(v, (list, tuple)) else v for v in (size, scale_factor))
        before, after = y.shape[-1], new_size or int(y.shape[-1] * factor)
        matrix = bicubic_matrix(before, after, bool(align_corners), factor)
        return y if after == before else F.linear(y, torch.tensor(matrix.tolist(), dtype=y.dtype))

    y = resized(x.permute(0, 2, 1, 3), 1).permute(0, 3, 2, 1)
    return Form(resized(y, 0).permute(0, 2, 3, 1), Order.PERMUTED)


def _windows(
    order: Order, x: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Form | None:
    """Windows of a map as columns (im2col): a slice for every element of the kernel, put side by side.

    The lowering has no such form: what widths follow through it is not known yet.
    """
    kernel, spread, pads, steps = (
        (v, v) if isinstance(v, int) else v for v in (kernel_size, dilation, padding, stride)
    )
    n, c, height, width = x.shape
    if n != 1:
        return None
    y = x.permute(*_LAST)
    if any(pads):
        y = F.pad(y, (0, 0, pads[1], pads[1], pads[0], pads[0]))
    rows, columns = (
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, d, p, s in zip((height, width), kernel, spread, pads, steps, strict=True)
    )
    parts = []
    for i in range(0, kernel[0] * spread[0], spread[0]):
        z = y[:, i : i + (rows - 1) * steps[0] + 1 : steps[0]]
        for j in range(0, kernel[1] * spread[1], spread[1]):
            part = z[:, :, j : j + (columns - 1) * steps[1] + 1 : steps[1]]
            parts.append(part.reshape(rows * columns, 1, c))
    return Form(torch.cat(parts, 1).permute(2, 1, 0).reshape(1, -1, rows * columns))


def _pad(
    order: Order, x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Form | None:
    """Rows and columns of a map with a constant: channels last."""
    if order == Order.TORCH or mode != "constant" or len(pad) > 4:
        return None
    return Form(F.pad(x.permute(*_LAST), [0, 0, *pad], value=value).permute(*_FIRST), Order.PERMUTED)


def _selected(x: Tensor, index: int) -> Tensor:
    """One of the first dimension, as a slice of the first two in one.

    The compiler for the U55 and U65 dies of elementwise operators that read one whose dimension goes behind the slice.
    """
    each = x.shape[1]
    return x.reshape(-1, *x.shape[2:]).narrow(0, index % x.shape[0] * each, each)


def _item(x: Tensor, index: Any) -> Tensor | None:
    first, *others = index if isinstance(index, tuple) and index else (index,)
    if not isinstance(first, int) or isinstance(first, bool) or not -x.shape[0] <= first < x.shape[0]:
        return None
    return _selected(x, first)[tuple(others)] if others else _selected(x, first)


def _select(x: Tensor, dim: int, index: int) -> Tensor | None:
    return _item(x, index) if dim % x.dim() == 0 else None


def _unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...] | None:
    return tuple(_selected(x, k) for k in range(x.shape[0])) if dim % x.dim() == 0 else None


def _axes(dim: Any) -> tuple[int, ...]:
    """Dimensions of rank four, counted from the front, in order."""
    return tuple(sorted(d % 4 for d in ((dim,) if isinstance(dim, int) else dim or ())))


_MEAN = _reduction(torch.mean)
# of tensors of rank five and more
SELECTS: Mapping[Any, Callable[..., Tensor | tuple[Tensor, ...] | None]] = MappingProxyType(
    {
        Tensor.__getitem__: _item,
        **dict.fromkeys((torch.select, Tensor.select), _select),
        **dict.fromkeys((torch.unbind, Tensor.unbind), _unbind),
    }
)
FORMS: Mapping[Any, Callable[..., Form | None]] = MappingProxyType(
    {
        **dict.fromkeys((torch.mean, Tensor.mean), _MEAN),
        **dict.fromkeys((torch.sum, Tensor.sum), _reduction(torch.sum)),
        **dict.fromkeys((torch.amax, Tensor.amax), _largest),
        **dict.fromkeys((torch.max, Tensor.max), _largest_and_where),
        F.adaptive_avg_pool2d: _average_pool,
        F.adaptive_max_pool2d: _largest_of_windows,
        F.interpolate: _resized,
        F.pad: _pad,
        F.unfold: _windows,
    }
)
