"""A module written channels last by hand, where the converter would turn its maps to torch's order.

The converter keeps maps [N, H, W, C] between convolutions, but computes some operators on [N, C, H, W], between
transposes: a mean over the pixels that drops its dimensions; arithmetic with a tensor of lower rank, and a mean behind
it; a pad. A mean over the last dimension the accelerators' compiler leaves to the CPU. So these are exported as an
expert would write them (`accelerated_forms`), and lines as maps of one row (`line_forms`).

A "map" is a tensor that stands channels last in the file: a picture, what convolutions, pools, resizes and batch norms
make, and what is computed of maps element by element. `hardware.lowering` knows the same forms of the same tensors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .accelerated_forms import FORMS, SELECTS, Form, Order, elementwise, joined
from .line_forms import Lines

__all__ = ["ChannelsLast"]

_FIRST = (0, 3, 1, 2)  # channels last to torch's order


class ChannelsLast(nn.Module):
    """The module for pictures [N, H, W, C], its operators in the forms that accelerators take."""

    def __init__(self, wrapped: nn.Module) -> None:
        super().__init__()
        self.wrapped = wrapped

    def forward(self, images: Tensor) -> Any:
        pictures = images.permute(*_FIRST)
        with _Rewriting(pictures):
            return self.wrapped(pictures)


class _Rewriting(TorchFunctionMode):
    """Calls of torch's functions, in another form where there is one. maps: where tensors stand that are maps."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.maps = WeakTensorKeyDictionary()
        self.maps[pictures] = Order.MAP
        self.lines = Lines(_ELEMENTWISE)

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        lines = self.lines.result(function, args, kwargs)
        if lines is not None:
            return lines
        form = self._form(function, args, kwargs) or Form(function(*args, **kwargs))
        for tensor in form.result if isinstance(form.result, tuple) else (form.result,):
            if isinstance(tensor, Tensor) and tensor.dim() == 4 and self._makes_map(function, args):
                self.maps[tensor] = form.order
        return form.result

    def _form(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Form | None:
        if function in _ELEMENTWISE and self._needs_permutes(args):
            return elementwise(function, args, kwargs)
        if function in (torch.cat, torch.concat) and self._needs_permutes(args):
            return joined(*args, **kwargs)
        if function in SELECTS and isinstance(args[0], Tensor) and args[0].dim() > 4 and args[0].shape[0] > 1:
            selected = SELECTS[function](*args, **kwargs)
            return None if selected is None else Form(selected, Order.TORCH)
        form = FORMS.get(function)
        if form is None or not args or not isinstance(args[0], Tensor) or args[0].dim() != 4:
            return None
        try:
            return form(self._order(args[0]), *args, **kwargs)
        except TypeError:  # called with more than the form reads (a dtype, an output tensor)
            return None

    def _makes_map(self, function: Any, args: Sequence[Any]) -> bool:
        if function in _MAKE_MAPS:
            return True
        if function in (torch.permute, Tensor.permute):
            return tuple(_flat(args[1:])) == _FIRST and args[0] not in self.maps
        orders = [self._order(x) for x in _of_rank_four(args)]
        return function not in _REORDER and bool(orders) and Order.TORCH not in orders

    def _needs_permutes(self, args: Sequence[Any]) -> bool:
        """Whether the converter would bring arithmetic with a map to torch's order."""
        orders = [self._order(x) for x in _of_rank_four(args)]
        lower = any(isinstance(x, Tensor) and 0 < x.dim() < 4 for x in args)
        return bool(orders) and Order.TORCH not in orders and (lower or Order.PERMUTED in orders)

    def _order(self, x: Tensor) -> Order:
        """Of one pixel, such as the gates of a linear layer, both orders are the same."""
        order: Order | None = self.maps.get(x)
        return order or (Order.MAP if x.shape[2:] == (1, 1) else Order.TORCH)


def _flat(args: Sequence[Any]) -> list[Any]:
    return [x for part in args for x in (part if isinstance(part, (list, tuple)) else (part,))]


def _of_rank_four(args: Sequence[Any]) -> list[Tensor]:
    """The tensors of rank four among arguments, those of the model left out."""
    return [x for x in _flat(args) if isinstance(x, Tensor) and x.dim() == 4 and not isinstance(x, nn.Parameter)]


_NAMES = "add sub mul div true_divide pow sqrt rsqrt square neg sigmoid relu tanh clamp"
_FUNCTIONS = "relu relu6 hardtanh silu hardswish hardsigmoid gelu leaky_relu"
_OPERATORS = "__add__ __sub__ __mul__ __truediv__ __pow__ __radd__ __rsub__ __rmul__ __rtruediv__ __neg__"
_ELEMENTWISE = frozenset(
    [getattr(owner, name) for name in _NAMES.split() for owner in (torch, Tensor)]
    + [getattr(Tensor, name) for name in _OPERATORS.split()]
    + [getattr(F, name) for name in _FUNCTIONS.split()]
)
_MAKE_MAPS = frozenset(
    [
        torch.conv2d, torch.conv_transpose2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d,
        F.adaptive_max_pool2d, F.interpolate, F.batch_norm,
    ]
)  # fmt: skip
# as a function mode is told of the attributes
_MATRIX_TURNED, _TURNED = (vars(torch._C.TensorBase)[name].__get__ for name in ("mT", "T"))
# what makes tensors in torch's own order of maps, too
_REORDER = frozenset(
    [
        torch.reshape, Tensor.reshape, Tensor.view, torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes,
        torch.movedim, Tensor.movedim, torch.unflatten, Tensor.unflatten, torch.flatten, Tensor.flatten, torch.matmul,
        Tensor.matmul, Tensor.__matmul__, torch.roll, Tensor.roll, Tensor.expand, Tensor.expand_as, Tensor.repeat,
        torch.einsum, torch.pixel_shuffle, torch.pixel_unshuffle, torch.channel_shuffle, F.linear, F.layer_norm,
        F.group_norm, F.instance_norm, F.scaled_dot_product_attention, _MATRIX_TURNED, _TURNED,
    ]
)  # fmt: skip
