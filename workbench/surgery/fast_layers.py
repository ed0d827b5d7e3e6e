"""Layers that learn faster on a CPU: the same functions and gradients, by operators that suit its caches.

    channels last       convolutions read and write [N, H, W, C] in memory, which spares reordering every map
    norm and ReLU6      one autograd node; PyTorch's in-place ReLU6 copies its input for the gradient
    wide depthwise      the gradient of the kernel, three columns at a time: oneDNN's depthwise routine takes at most
                        three, and wider kernels fall to the dense one, which computes 16 channels squared
    asymmetric padding  of depthwise convolutions with stride ("SAME"): a larger symmetric one whose first row and
                        column are dropped, so that not the map but its smaller result is copied
    memory              is kept between steps (`kept_memory.py`)

What another device holds, other layers and other numbers than float32 take PyTorch's own way.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from .kept_memory import kept_memory

__all__ = ["fast_layers"]

_COLUMNS = 3  # of a depthwise kernel, at most, in oneDNN's routine for the gradient of its weights

Sides = tuple[int, int]  # of height and of width


@contextmanager
def fast_layers(*modules: nn.Module) -> Iterator[None]:
    """Within it, the modules' layers compute the same by faster operators where they lie on a CPU.

    Parameters keep their identity, so optimisers of them stay valid; their memory is ordered channels last until the
    end. Numbers differ from PyTorch's own in the last bits, and are the same each time. The modules can be copied
    within; the copies' layers are fast as well and stay so.

    >>> import timm
    >>> network = timm.create_model("mobilenetv2_050").train()
    >>> with fast_layers(network):
    ...     network(torch.zeros(2, 3, 32, 32)).sum().backward()
    """
    on_cpu = [module for module in modules if all(p.device.type == "cpu" for p in module.parameters())]
    with ExitStack() as stack:
        if on_cpu:
            stack.enter_context(kept_memory())
        for module in on_cpu:
            module.to(memory_format=torch.channels_last)
            stack.callback(module.to, memory_format=torch.contiguous_format)
            for layer in module.modules():
                forward = _forward(layer)
                if forward is not None and "forward" not in vars(layer):
                    layer.forward = MethodType(forward, layer)
                    stack.callback(delattr, layer, "forward")
        yield


def _forward(layer: Any) -> Callable[[Any, Tensor], Tensor] | None:
    """The faster forward pass of a layer of this class; None where there is none."""
    from timm.layers import BatchNormAct2d
    from timm.layers.conv2d_same import Conv2dSame

    if type(layer) is BatchNormAct2d:
        plain = type(layer.drop) is nn.Identity and layer.affine and layer.track_running_stats
        return _norm_act if plain and layer.momentum is not None and type(layer.act) is nn.ReLU6 else None
    if type(layer) is nn.ReLU6:
        return _relu6
    if type(layer) in (nn.Conv2d, Conv2dSame) and _depthwise(layer) and _undilated(layer):
        same = type(layer) is Conv2dSame
        if same:
            return _same_depthwise_convolution
        return _depthwise_convolution if layer.kernel_size[1] > _COLUMNS else None
    return None


def _depthwise(layer: Any) -> bool:
    return bool(layer.groups == layer.in_channels == layer.out_channels > 1)


def _undilated(layer: Any) -> bool:
    return layer.dilation == (1, 1) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _learns(layer: nn.Module, x: Tensor) -> bool:
    """Whether gradients are computed, of numbers that the faster operators take."""
    learned = x.requires_grad or any(p.requires_grad for p in layer.parameters(recurse=False))
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and x.dim() == 4
    return torch.is_grad_enabled() and learned and plain and not torch.is_autocast_enabled("cpu")


def _relu6(layer: Any, x: Tensor) -> Tensor:
    """Never in place where it learns: PyTorch would copy the input first."""
    return nn.functional.relu6(x, inplace=layer.inplace and not _learns(layer, x))


def _norm_act(layer: Any, x: Tensor) -> Tensor:
    if not _learns(layer, x):
        return type(layer).forward(layer, x)
    if layer.training:
        layer.num_batches_tracked.add_(1)
    return _NormReLU6.apply(
        x, layer.weight, layer.bias, layer.running_mean, layer.running_var, layer.training, layer.momentum, layer.eps
    )


class _NormReLU6(torch.autograd.Function):
    """Batch norm, by the batch's statistics or by fixed ones, and ReLU6."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        var: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y, batch_mean, batch_scale = torch.native_batch_norm(x, weight, bias, mean, var, training, momentum, eps)
        y.clamp_(0, 6)
        ctx.save_for_backward(x, y, weight, mean, var, batch_mean, batch_scale)
        ctx.training, ctx.eps = training, eps
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, mean, var, batch_mean, batch_scale = ctx.saved_tensors
        inner = torch.ops.aten.hardtanh_backward(grad, y, 0, 6)
        gradients = torch.ops.aten.native_batch_norm_backward(
            inner, x, weight, mean, var, batch_mean, batch_scale, ctx.training, ctx.eps, ctx.needs_input_grad[:3]
        )
        return *gradients, None, None, None, None, None


def _depthwise_convolution(layer: Any, x: Tensor) -> Tensor:
    if not _learns(layer, x):
        return type(layer).forward(layer, x)
    return _Depthwise.apply(x, layer.weight, layer.bias, layer.stride, layer.padding, (0, 0), None)


def _same_depthwise_convolution(layer: Any, x: Tensor) -> Tensor:
    """Padding as TensorFlow's "SAME": half of what the stride asks for, the odd one behind."""
    if not _learns(layer, x):
        return type(layer).forward(layer, x)
    padding, dropped, size = [], [], []
    for length, kernel, stride in zip(x.shape[2:], layer.kernel_size, layer.stride, strict=True):
        outputs = -(-length // stride)
        total = max((outputs - 1) * stride + kernel - length, 0)
        odd = total % 2
        padding.append(total // 2 + odd * stride)  # one more window before the first
        dropped.append(odd)
        size.append(outputs)
    return _Depthwise.apply(x, layer.weight, layer.bias, layer.stride, tuple(padding), tuple(dropped), tuple(size))


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution [N, C, H, W] -> [N, C, h, w], without its first `dropped` rows and columns."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sides,
        padding: Sides,
        dropped: Sides,
        size: Sides | None,
    ) -> Tensor:
        y = torch.conv2d(x, weight, bias, stride, padding, (1, 1), len(weight))
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.edges = stride, padding, (0, 0, 0, 0)
        if size is not None and tuple(y.shape[2:]) != size:
            (top, left), (height, width) = dropped, size
            ctx.edges = left, y.shape[3] - left - width, top, y.shape[2] - top - height
            y = y[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        grad_bias = grad.sum((0, 2, 3)) if for_bias else None
        if any(ctx.edges):
            grad = nn.functional.pad(grad, ctx.edges)
        grad_x = _gradients(grad, x, weight, ctx.stride, ctx.padding, 0) if for_x else None
        grad_weight = _kernel_gradient(grad, x, weight, ctx.stride, ctx.padding) if for_weight else None
        return grad_x, grad_weight, grad_bias, None, None, None, None


def _kernel_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: Sides, padding: Sides) -> Tensor:
    """Of the weights [C, 1, kh, kw]; a few columns of the kernel read a map cut, or padded, to their windows."""
    if weight.shape[3] <= _COLUMNS:
        return _gradients(grad, x, weight, stride, padding, 1)
    columns = []
    for first in range(0, weight.shape[3], _COLUMNS):
        part = weight[..., first : first + _COLUMNS]
        left = padding[1] - first
        right = stride[1] * (grad.shape[3] - 1) + part.shape[3] - left - x.shape[3]
        windows = nn.functional.pad(x, (left, right))
        columns.append(_gradients(grad, windows, part, stride, (padding[0], 0), 1))
    return torch.cat(columns, 3)


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, stride: Sides, padding: Sides, of: int) -> Tensor:
    """PyTorch's gradient of the map (of=0) or of the weights (of=1)."""
    mask = [of == 0, of == 1, False]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), mask
    )[of]
