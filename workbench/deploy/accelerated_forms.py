"""Operators on tensors of rank four in forms that accelerators take whole; the values stay, but for orders of sums.

A form is given a tensor x of rank four as torch has it, and whether it is a map, which stands channels last in the
file. It is None where there is none: the operator is exported as it is. In the file the permutes cancel with those of
the converter.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..hardware.lowering import TRAILING, window_of_largest

__all__ = ["FIRST", "FORMS", "REDUCTIONS", "permuted"]

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # orders of dimensions: channels last, and back


def _reduction(reduce: Callable[..., Tensor]) -> Callable[..., Tensor | None]:
    """Over rows, columns or both of a map: channels last. Over the last dimensions, as deployed: of a matrix's rows."""

    def form(a_map: bool, x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor | None:
        axes = tuple(sorted((a - 2) % 3 + 1 if a_map and a else a for a in _axes(dim)))  # as they are deployed
        y = x.permute(*LAST) if a_map else x
        if axes in TRAILING:
            kept = y.shape[: axes[0]]
            y = reduce(y.reshape(kept.numel(), -1), 1).reshape(*kept, *[1] * (len(axes) if keepdim else 0))
        elif a_map and axes in ((1, 2), (1,), (2,)):
            y = reduce(y, axes, keepdim=keepdim)
            y = y.permute(0, 2, 1) if y.dim() == 3 else y
        else:
            return None
        return y.permute(*FIRST) if a_map and keepdim else y

    return form


def _average_pool(a_map: bool, x: Tensor, output_size: Any) -> Tensor | None:
    """To one pixel: a mean."""
    return _MEAN(a_map, x, (2, 3), keepdim=True) if output_size in (1, (1, 1), [1, 1]) else None


def _largest(a_map: bool, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor | None:
    """Over rows, columns or both of a map: a max pool."""
    axes = _axes(dim)
    window = window_of_largest(x.shape, axes) if a_map else None
    if window is None:
        return None
    y = F.max_pool2d(x, window)
    return y if keepdim else y.squeeze(axes)


def _largest_and_where(a_map: bool, x: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """The values by a pool; the positions, where somebody reads them, as before."""
    y = _largest(a_map, x, dim, keepdim) if isinstance(dim, int) else None
    return None if y is None else torch.return_types.max((y, torch.max(x, dim, keepdim)[1]))


def _pad(
    a_map: bool, x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor | None:
    """Rows and columns of a map with a constant: channels last."""
    if not a_map or mode != "constant" or len(pad) > 4:
        return None
    return F.pad(x.permute(*LAST), [0, 0, *pad], value=value).permute(*FIRST)


def permuted(x: Any) -> Any:
    """An operand of arithmetic with maps as it meets them channels last."""
    if not isinstance(x, Tensor) or x.dim() == 0:
        return x
    return x.reshape(*[1] * (4 - x.dim()), *x.shape).permute(*LAST)


def _axes(dim: Any) -> tuple[int, ...]:
    """Dimensions of rank four, counted from the front, in order."""
    return tuple(sorted(d % 4 for d in ((dim,) if isinstance(dim, int) else dim or ())))


_MEAN = _reduction(torch.mean)
REDUCTIONS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        **dict.fromkeys((torch.mean, Tensor.mean), _MEAN),
        **dict.fromkeys((torch.sum, Tensor.sum), _reduction(torch.sum)),
        F.adaptive_avg_pool2d: _average_pool,
    }
)
FORMS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        **REDUCTIONS,
        **dict.fromkeys((torch.amax, Tensor.amax), _largest),
        **dict.fromkeys((torch.max, Tensor.max), _largest_and_where),
        F.pad: _pad,
    }
)
