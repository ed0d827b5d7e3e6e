"""Example inputs that a user brings: one of everything, in the order in which the module takes them."""

import warnings
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import InputError, InputWarning, unknown
from ..graph import Graph
from ..graph.kinds import POOLS_2D
from ..graph.trace import evaluating

__all__ = ["arguments", "batched", "reads_no_batch"]

_ON_MAPS = POOLS_2D | {"conv2d", "conv_transpose2d"}
_RELATIVE = 1e-3  # how far apart rows of one batch and of one each may be, float32 in another order of sums


def arguments(model: nn.Module, example_inputs: Any) -> tuple[Any, ...]:
    """The example inputs as the positional arguments of the module, one of every batch, floats in float32.

    example_inputs: a tensor, a tuple or list of arguments, or a mapping from the names of forward's parameters. Raises
    InputError where a name is none, or where there is no tensor among them. Of a batch the first is taken, with an
    InputWarning: figures are those of one inference.
    """
    if isinstance(example_inputs, Tensor):
        inputs: tuple[Any, ...] = (example_inputs,)
    elif isinstance(example_inputs, Mapping):
        inputs = _by_name(model, example_inputs)
    elif isinstance(example_inputs, tuple | list):
        inputs = tuple(example_inputs)
    else:
        raise InputError(
            f"example_inputs is {type(example_inputs).__name__}; it must be a tensor, a tuple of a module's arguments "
            f"or a mapping from their names, such as (torch.rand(1, 3, 224, 224),)"
        )
    leaves = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)]
    if not leaves:
        raise InputError("example_inputs holds no tensor; it needs at least one, such as torch.rand(1, 3, 224, 224)")
    half = any(leaf.is_floating_point() and leaf.dtype != torch.float32 for leaf in leaves)
    inputs = _each(inputs, lambda leaf: leaf.float() if leaf.is_floating_point() else leaf) if half else inputs
    sizes = {leaf.shape[0] for leaf in leaves if leaf.dim() > 1}
    count = sizes.pop() if len(sizes) == 1 else 1
    if count > 1 and _is_batch(model, inputs):
        warnings.warn(
            f"the example inputs are a batch of {count}: the first is taken, as figures are those of one inference",
            InputWarning,
            stacklevel=5,
        )
        return _rows(inputs, slice(0, 1))
    return inputs


def _by_name(model: nn.Module, inputs: Mapping[Any, Any]) -> tuple[Any, ...]:
    parameters = signature(model.forward).parameters
    if len(parameters) == 1 and not parameters.keys() & inputs.keys():
        return (inputs,)  # the network reads a mapping
    for name in inputs:
        if name not in parameters:
            raise unknown("argument", name, parameters)
    missing = [name for name, p in parameters.items() if p.default is Parameter.empty and name not in inputs]
    if missing:
        raise InputError(f"example_inputs has no {missing[0]!r}, which {type(model).__name__} reads")
    bound = signature(model.forward).bind(**inputs)
    if bound.kwargs:
        raise InputError(
            f"{type(model).__name__} reads {next(iter(bound.kwargs))!r} by name only; inputs are handed on by place"
        )
    return bound.args


def _is_batch(model: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether the first axis counts a batch: the last row alone makes the last row of what all rows make."""
    try:
        with evaluating(model), torch.no_grad():
            whole = pytree.tree_leaves(model(*_each(inputs, Tensor.clone)))
            last = pytree.tree_leaves(model(*_rows(inputs, slice(-1, None))))
    except Exception:  # the module's own code: it does not run on one row, so rows are no batch
        return False
    pairs = [(a, b) for a, b in zip(whole, last, strict=False) if isinstance(a, Tensor) and isinstance(b, Tensor)]
    return bool(pairs) and all(a.dim() > 0 and len(b) == 1 and _close(a[-1:], b) for a, b in pairs)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    return bool((a.double() - b.double()).norm() <= _RELATIVE * a.double().norm() + 1e-9)


def batched(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs with a batch axis of one in front, with an InputWarning."""
    warnings.warn(
        "the example inputs have no batch axis: one is put in front of them, as files that are deployed have one",
        InputWarning,
        stacklevel=5,
    )
    return _each(inputs, lambda leaf: leaf[None])


def reads_no_batch(graph: Graph) -> bool:
    """Whether layers on feature maps read maps of three dimensions."""
    return any(op.kind in _ON_MAPS and len(op.shape) == 3 for op in graph.ops)


def _rows(inputs: tuple[Any, ...], rows: slice) -> tuple[Any, ...]:
    return _each(inputs, lambda leaf: leaf[rows].clone() if leaf.dim() > 1 else leaf)


def _each(inputs: tuple[Any, ...], change: Any) -> tuple[Any, ...]:
    mapped: tuple[Any, ...] = pytree.tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, inputs)
    return mapped
