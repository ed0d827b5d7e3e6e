"""Operators that torch itself puts together from others, as those others.

ATen has many names for one thing (`swapaxes`, `moveaxis`, `concatenate`, `clip`, `absolute`, `special.expit`, `max` of
two tensors) and shorthands (`hstack`, `tensor_split`, `tile`). Their kernels are compositions of the operators that
rules are written for, and are carried out here on tensors without values.
"""

from typing import Any

import torch
from torch import Tensor, fx
from torch._C import DispatchKey
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

__all__ = ["constituents"]


def constituents(node: fx.Node) -> fx.GraphModule | None:
    """The nodes that one exported node stands for, None where torch has a kernel of its own for it.

    The placeholders are the tensors among its arguments, in their order (`pytree`); the nodes stand in its module.
    """
    target = node.target
    if not isinstance(target, OpOverload) or not target.has_kernel_for_dispatch_key(
        DispatchKey.CompositeImplicitAutograd
    ):
        return None
    leaves, spec = pytree.tree_flatten((node.args, node.kwargs))
    values = [leaf.meta.get("val") if isinstance(leaf, fx.Node) else leaf for leaf in leaves]
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    mode = getattr(values[places[0]], "fake_mode", None) if places else None
    if mode is None:
        return None

    def composed(*read: Tensor) -> Any:
        filled = list(values)
        for place, tensor in zip(places, read, strict=True):
            filled[place] = tensor
        args, kwargs = pytree.tree_unflatten(filled, spec)
        return target.decompose(*args, **kwargs)

    with mode, torch.no_grad():
        graph = make_fx(composed)(*(values[place] for place in places))
    for part in graph.graph.nodes:
        part.meta["nn_module_stack"] = node.meta.get("nn_module_stack")
    return graph
