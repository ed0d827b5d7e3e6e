"""ExchangeLayer: another layer in the place of one."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..errors import SurgeryError
from ..graph import ExchangeLayer, Op
from .kernels import centred, embed, fit_kernel
from .modules import get_parameter, replace_module, set_parameter, set_widths
from .site import Site
from .standardised_kernels import set_kernel, standardises

__all__ = ["exchange_layer"]

_ACTIVATIONS: Mapping[str, Callable[..., nn.Module]] = {
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}


def exchange_layer(site: Site, edit: ExchangeLayer) -> None:
    """Carry the edit out on the layer's own module: dense for depthwise, another kernel, another activation."""
    op = site.after.by_name[edit.op]
    if op.kind == "conv2d":
        _exchange_convolution(site, edit, op)
    else:
        _exchange_activation(site.model, site.graph.by_name[op.name], op)


def _exchange_convolution(site: Site, edit: ExchangeLayer, op: Op) -> None:
    """A dense kernel in the place of a depthwise one of the same size, or a kernel of another size."""
    model, weight = site.model, op.param("weight")
    layer: Any = model.get_submodule(op.module)
    values = get_parameter(model, weight.name) if weight is not None else None
    if not isinstance(layer, nn.Conv2d) or values is None or weight is None:
        raise SurgeryError(
            f"{op.module or op.name} is a {type(layer).__name__}, not a convolution with its own weights"
        )
    kernel = op["kernel"]
    if values.shape == weight.shape:
        return  # another place that calls the same layer has had it exchanged
    if kernel == tuple(values.shape[2:]):
        set_parameter(model, weight.name, embed(values, layer.groups))
        set_widths(model, op.module, op)
        return
    images = site.images if edit.init == "least-squares" else None
    if standardises(layer):
        set_kernel(model, op.module, kernel, images)
    elif images is not None and type(layer).__name__ in ("Conv2d", "Conv2dSame"):
        set_parameter(model, weight.name, fit_kernel(model, op.module, kernel, images))
    else:
        set_parameter(model, weight.name, centred(values, kernel))
    layer.kernel_size, layer.padding = kernel, op["padding"]


def _exchange_activation(model: nn.Module, old: Op, new: Op) -> None:
    """Another activation module at the path of the old one; it works in place on its input where the old one did."""
    module: Any = model.get_submodule(old.module)
    if isinstance(module, nn.Identity) or any(True for _ in module.parameters()):
        raise SurgeryError(f"{old.module} is a {type(module).__name__}, no activation that could be exchanged")
    if new.kind == "gelu":
        activation: nn.Module = nn.GELU()
    elif new.kind in _ACTIVATIONS:
        activation = _ACTIVATIONS[new.kind](inplace=bool(getattr(module, "inplace", False)))
    else:
        raise SurgeryError(f"{old.module}: no module is known for the activation {new.kind}")
    replace_module(model, old.module, activation.train(module.training))
