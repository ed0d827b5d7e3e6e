"""One layer in another's place, and modules taken out."""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SurgeryError
from ..graph import Graph, Op, Replace
from ..graph.paths import is_inside
from .gates import fold
from .kernels import centred, embed, fit_kernel
from .layers import get_parameter, replace_module, set_parameter, set_widths, takes_one
from .standardised import set_kernel, standardises

__all__ = ["check_emptied", "empty", "exchange", "outermost", "take_out"]

_ACTIVATIONS: Mapping[str, Callable[..., nn.Module]] = {
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}


def exchange(model: nn.Module, graph: Graph, edit: Replace, after: Graph, images: Tensor | None) -> None:
    """Carry an edit of one layer out on its own module: dense for depthwise, another kernel, another activation."""
    if len(edit.ops) != 1 or len(edit.new_ops) != 1:
        raise SurgeryError(f"{edit.module or edit.ops[-1]}: only one layer at a time can be exchanged")
    op = after.by_name[edit.ops[-1]]
    if op.kind != "conv2d":
        _activation(model, graph.by_name[op.name], op)
        return
    weight = op.param("weight")
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
    fitted_on = images if edit.init == "least-squares" else None
    if standardises(layer):
        set_kernel(model, op.module, kernel, fitted_on)
    elif fitted_on is not None and type(layer).__name__ in ("Conv2d", "Conv2dSame"):
        set_parameter(model, weight.name, fit_kernel(model, op.module, kernel, fitted_on))
    else:
        set_parameter(model, weight.name, centred(values, kernel))
    layer.kernel_size, layer.padding = kernel, op["padding"]


def _activation(model: nn.Module, old: Op, new: Op) -> None:
    """Another activation module in the place of one, in place on its input where the old one was."""
    module: Any = model.get_submodule(old.module)
    if isinstance(module, nn.Identity) or any(True for _ in module.parameters()):
        raise SurgeryError(f"{old.module} is a {type(module).__name__}, no activation that could be exchanged")
    if new.kind == "gelu":
        made: nn.Module = nn.GELU()
    elif new.kind in _ACTIVATIONS:
        made = _ACTIVATIONS[new.kind](inplace=bool(getattr(module, "inplace", False)))
    else:
        raise SurgeryError(f"{old.module}: no module is known for the activation {new.kind}")
    replace_module(model, old.module, made.train(module.training))


@torch.no_grad()
def take_out(model: nn.Module, graph: Graph, edit: Replace, images: Tensor | None) -> None:
    """Modules all of whose operators go become identities; with images a gate's mean goes into a layer beside it."""
    paths = [edit.module] if edit.module else outermost(graph.by_name[name].module for name in edit.ops)
    check_emptied(graph, set(edit.ops), paths)
    if edit.module and edit.init == "least-squares" and images is not None:
        fold(model, graph, edit, edit.module, images)
    empty(model, paths)


def check_emptied(graph: Graph, gone: Set[str], paths: Iterable[str]) -> None:
    """Refuse to take modules out that do more than the operators that go."""
    for path in paths:
        left = next((op for op in graph.ops if op.name not in gone and is_inside(op.module, path)), None)
        if not path or left is not None:
            what = path or max(gone)
            raise SurgeryError(f"{what} cannot be taken out of the module's code: {left.name if left else 'it'} stays")


def empty(model: nn.Module, paths: Iterable[str]) -> None:
    """Identities in the places of modules."""
    for path in paths:
        replace_module(model, path, nn.Identity() if takes_one(model.get_submodule(path)) else PassThrough())


class PassThrough(nn.Identity):
    """An identity for code that hands its block more than the feature map."""

    def forward(self, input: Tensor, *args: Any, **options: Any) -> Tensor:
        return input


def outermost(paths: Iterable[str]) -> list[str]:
    """Each module once, in their order, those inside another left out: a norm may hold its activation.

    >>> outermost(["conv", "bn", "bn.act", "conv"])
    ['conv', 'bn']
    """
    found = list(dict.fromkeys(paths))
    return [path for path in found if not any(path.startswith(f"{other}.") for other in found)]
