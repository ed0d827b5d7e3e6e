"""SetSpatial: strides, dilations and paddings of layers in their places."""

from typing import Any

import torch.nn.functional as F
from timm.layers import BlurPool2d
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import Tensor, nn

from ..errors import SurgeryError
from ..graph import Op, SetSpatial
from .modules import replace_module

__all__ = ["DilatedBlurPool2d", "set_spatial"]


def set_spatial(model: nn.Module, op: Op, edit: SetSpatial) -> None:
    """Carry an edit of the operator out on its layer."""
    if edit.same:
        _pad_same(model, op.module)
    layer: Any = model.get_submodule(op.module)
    if isinstance(layer, BlurPool2d):
        _set_blur(model, op.module, layer, edit)
        return
    for name in ("stride", "dilation", "padding"):
        value = getattr(edit, name)
        if value is None or (edit.same and name == "padding"):
            continue
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) or not hasattr(layer, name):
            raise SurgeryError(f"{op.module or op.name}: a {type(layer).__name__} has no {name} that could be set")
        setattr(layer, name, value)


def _pad_same(model: nn.Module, path: str) -> None:
    """Put a layer that pads as TensorFlow's "SAME" does in the place of a plain convolution or pool; weights stay."""
    layer: Any = model.get_submodule(path)
    kind = type(layer)
    padding_layer: Any
    if kind is nn.Conv2d:
        padding_layer = Conv2dSame(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            dilation=layer.dilation,
            groups=layer.groups,
            bias=layer.bias is not None,
        )
        padding_layer.weight, padding_layer.bias = layer.weight, layer.bias
    elif kind is nn.MaxPool2d:
        padding_layer = MaxPool2dSame(layer.kernel_size, layer.stride, dilation=layer.dilation)
    elif kind is nn.AvgPool2d:
        padding_layer = AvgPool2dSame(layer.kernel_size, layer.stride, count_include_pad=layer.count_include_pad)
    else:
        raise SurgeryError(f"{path} is a {kind.__name__}: no layer is known that does the same and pads as needed")
    replace_module(model, path, padding_layer.train(layer.training))


class DilatedBlurPool2d(BlurPool2d):
    """A BlurPool2d with a dilation."""

    dilation: int | tuple[int, int] = 1

    def forward(self, x: Tensor) -> Tensor:
        padding: Any = self.padding
        filt: Any = self.filt
        x, channels = F.pad(x, padding, mode=self.pad_mode), x.shape[1]
        weight = filt.expand(channels, -1, -1, -1)
        return F.conv2d(x, weight, stride=self.stride, dilation=self.dilation, groups=channels)


def _set_blur(model: nn.Module, path: str, layer: Any, edit: SetSpatial) -> None:
    """Set a BlurPool2d: its stride is a number, its padding stands in its code, and it has no dilation."""
    if edit.dilation is not None and not isinstance(layer, DilatedBlurPool2d):
        dilated: Any = DilatedBlurPool2d(layer.channels, layer.filt_size, layer.stride, layer.pad_mode)
        dilated.filt, dilated.padding = layer.filt, layer.padding
        replace_module(model, path, dilated.train(layer.training))
        layer = dilated
    if edit.stride is not None:
        layer.stride = edit.stride
    if edit.dilation is not None:
        layer.dilation = edit.dilation
    if edit.padding is not None:
        height, width = edit.padding
        layer.padding = [width, width, height, height]
