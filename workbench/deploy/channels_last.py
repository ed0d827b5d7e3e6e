"""A module written channels last by hand, where the converter would turn its maps to torch's order.

The converter keeps maps [N, H, W, C] between convolutions, but computes some operators on [N, C, H, W], between
transposes: a mean over the pixels that drops its dimensions, or that stands behind arithmetic with a constant of one
element; a pad. A mean over the last dimension the accelerators' compiler leaves to the CPU. So these are exported as
an expert would write them, which changes no value but in the order of a sum:

1. mean, sum over rows, columns or both of a map: on the permuted map, whose permutes cancel with the converter's
2. mean, sum over the channels of a map, or over the last dimensions of another tensor: over the rows of a matrix
3. an average pool to one pixel: the mean that it is
4. a largest value over rows, columns or both of a map: the max pool that it is
5. constant pads of rows and columns of a map: on the permuted map

"A map" is what stands channels last in the file: a picture, what convolutions, pools, resizes and batch norms make,
and what is computed of maps element by element (`hardware.lowering` calls the others plain).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ..hardware.lowering import TRAILING, window_of_largest

__all__ = ["ChannelsLast"]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """The module for pictures [N, H, W, C], its operators rewritten as above."""

    def __init__(self, wrapped: nn.Module) -> None:
        super().__init__()
        self.wrapped = wrapped

    def forward(self, images: Tensor) -> Any:
        pictures = images.permute(*_FIRST)
        with _Rewriting(pictures):
            return self.wrapped(pictures)


class _Rewriting(TorchFunctionMode):
    """Calls of torch's functions, rewritten where a rule covers them. maps: the tensors that stand channels last."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.maps = WeakTensorKeyDictionary()
        self.maps[pictures] = True

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = self._rewritten(function, args, kwargs)
        if result is None:
            result = function(*args, **kwargs)
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, Tensor) and tensor.dim() == 4 and self._makes_map(function, args):
                self.maps[tensor] = True
        return result

    def _rewritten(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        rule = _RULES.get(function)
        if rule is None or not args or not isinstance(args[0], Tensor) or args[0].dim() != 4:
            return None
        try:
            return rule(args[0] in self.maps, *args, **kwargs)
        except TypeError:  # called with more than the rule reads (a dtype, an output tensor)
            return None

    def _makes_map(self, function: Any, args: Sequence[Any]) -> bool:
        if function in _MAKE_MAPS:
            return True
        operands = [x for part in args for x in (part if isinstance(part, (list, tuple)) else (part,))]
        tensors = [x for x in operands if isinstance(x, Tensor) and x.dim() == 4 and not isinstance(x, nn.Parameter)]
        if function in (torch.permute, Tensor.permute):
            axes = tuple(x for x in operands if isinstance(x, int))
            return axes == _FIRST and args[0] not in self.maps
        return function not in _REORDER and bool(tensors) and all(x in self.maps for x in tensors)


def _reduction(reduce: Callable[..., Tensor]) -> Callable[..., Tensor | None]:
    def rule(a_map: bool, x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor | None:
        axes = tuple(sorted((a - 2) % 3 + 1 if a_map and a else a for a in _axes(dim)))  # as they are deployed
        y = x.permute(*_LAST) if a_map else x
        if axes in TRAILING:
            first, shape = axes[0], y.shape
            y = reduce(y.reshape(shape[:first].numel(), -1), 1).reshape(*shape[:first], *[1] * len(axes) * keepdim)
        elif a_map and axes in ((1, 2), (1,), (2,)):
            y = reduce(y, axes, keepdim=keepdim)
            y = y.permute(0, 2, 1) if y.dim() == 3 else y
        else:
            return None
        return y.permute(*_FIRST) if a_map and keepdim else y

    return rule


def _average_pool(a_map: bool, x: Tensor, output_size: Any) -> Tensor | None:
    return _MEAN(a_map, x, (2, 3), keepdim=True) if output_size in (1, (1, 1), [1, 1]) else None


def _largest(a_map: bool, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor | None:
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
    if not a_map or mode != "constant" or len(pad) > 4:
        return None
    return F.pad(x.permute(*_LAST), [0, 0, *pad], value=value).permute(*_FIRST)


def _axes(dim: Any) -> tuple[int, ...]:
    """Dimensions of a map, counted from the front, in order."""
    return tuple(sorted(d % 4 for d in ((dim,) if isinstance(dim, int) else dim or ())))


_MEAN = _reduction(torch.mean)
_RULES: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        **dict.fromkeys((torch.mean, Tensor.mean), _MEAN),
        **dict.fromkeys((torch.sum, Tensor.sum), _reduction(torch.sum)),
        **dict.fromkeys((torch.amax, Tensor.amax), _largest),
        **dict.fromkeys((torch.max, Tensor.max), _largest_and_where),
        F.adaptive_avg_pool2d: _average_pool,
        F.pad: _pad,
    }
)
_MAKE_MAPS = frozenset(
    [
        torch.conv2d, torch.conv_transpose2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d,
        F.adaptive_max_pool2d, F.interpolate, F.batch_norm,
    ]
)  # fmt: skip
# what makes tensors in torch's own order of maps, too
_REORDER = frozenset(
    [
        torch.reshape, Tensor.reshape, Tensor.view, torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes,
        torch.movedim, Tensor.movedim, torch.unflatten, Tensor.unflatten, torch.flatten, Tensor.flatten, torch.matmul,
        Tensor.matmul, Tensor.__matmul__, torch.roll, Tensor.roll, Tensor.expand, Tensor.expand_as, Tensor.repeat,
        torch.einsum, torch.pixel_shuffle, torch.pixel_unshuffle, torch.channel_shuffle, F.linear, F.layer_norm,
        F.group_norm, F.instance_norm, F.scaled_dot_product_attention, Tensor.mT.__get__, Tensor.T.__get__,
    ]
)  # fmt: skip
