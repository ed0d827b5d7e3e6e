"""The error that integer arithmetic brings to every layer of a module.

N images. For a layer, y is its output (with the batch norm and the activation folded into it), f the network's
outputs, both in float; y', f' the same in the file; f_l the network's outputs with that layer alone coded.

error     ||y' - y|| / ||y||      of the running file: errors in the layer's inputs count, too
own       ||f_l - f|| / ||f||     its weights (per channel) and its outputs in the file's codes, all else in float
low, high                         the range of the codes
spread    max_c |y_c| / median_c  how much larger the largest channel is than the median one; all of them share
                                  one scale, so a wide spread leaves the small ones few codes
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from .file_layers import Layer, exported, layers_of
from .litert import Tensors

__all__ = ["culprit", "layer_errors"]

_FOLDED = ("batch_norm", "relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_")
_CHUNK = 8  # images at a time


def layer_errors(module: nn.Module, floats: bytes, coded: bytes, images: Tensor) -> pd.DataFrame:
    """One row per layer in execution order, the last one the network: layer, kind, error, own, low, high, spread, bits.

    floats: the module's float file, coded: the same with integer weights and activations. images: [N, C, H, W].
    """
    part = images[:_CHUNK]
    graph = exported(module, part)
    layers = layers_of(graph, floats)
    comparisons = _compared(layers, floats, coded, images)
    codes = {layer.node: comparisons[layer.node].code for layer in layers}
    own = _alone(graph, codes, part)
    rows = [
        {"layer": layer.path, "kind": layer.kind, **comparisons[layer.node].row(own[layer.node])}
        for layer in layers
    ]  # fmt: skip
    return pd.DataFrame([*rows, {"layer": "network", "kind": "", **comparisons[""].row(math.nan)}])


def culprit(errors: pd.DataFrame) -> str:
    """The layer that alone causes the largest error of the outputs, in words."""
    layers = errors[errors.kind != ""]
    worst = layers.sort_values("own", ascending=False).iloc[0]
    spread = f"its channels spread {worst.spread:.0f}-fold"
    return f"{worst.layer or 'the network itself'} (alone {worst.own:.0%} off, {spread})"


# ---- in the files -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """real = (q - zero) * scale, q an integer of `bits`."""

    scale: float
    zero: int
    bits: int

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest q."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def __call__(self, values: Tensor) -> Tensor:
        codes = torch.clamp(torch.round(values / self.scale) + self.zero, *self.limits)
        return (codes - self.zero) * self.scale


@dataclass
class _Comparison:
    """Sums over images of a layer's outputs in both files."""

    code: Code
    difference: float = 0.0
    size: float = 0.0
    largest: list[np.ndarray] = field(default_factory=list)

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        self.difference += float(np.square(rounded.astype(float) - exact).sum())
        self.size += float(np.square(exact.astype(float)).sum())
        self.largest.append(np.abs(exact).reshape(-1, exact.shape[-1]).max(0))

    def row(self, own: float) -> dict[str, float]:
        largest = np.max(self.largest, 0)
        middle = float(np.median(largest))
        low, high = ((q - self.code.zero) * self.code.scale for q in self.code.limits)
        return {
            "error": math.sqrt(self.difference / self.size) if self.size else (math.inf if self.difference else 0.0),
            "own": own,
            "low": low,
            "high": high,
            "spread": float(largest.max()) / middle if middle else math.inf,
            "bits": self.code.bits,
        }


def _compared(layers: tuple[Layer, ...], floats: bytes, coded: bytes, images: Tensor) -> dict[str, _Comparison]:
    """By node, "" for the network's output."""
    names = {layer.node: layer.outputs[0] for layer in layers}
    exact, rounded = Tensors(floats), Tensors(coded)
    comparisons = {node: _Comparison(Code(*rounded.code(name))) for node, name in names.items()}
    comparisons[""] = _Comparison(Code(*rounded.code(rounded.output)))
    for image in images:
        exact.run(image)
        rounded.run(image)
        for node, name in names.items():
            comparisons[node].add(exact[name], rounded[name])
        comparisons[""].add(exact[exact.output], rounded[rounded.output])
    return comparisons


# ---- a layer alone ----------------------------------------------------------------------------------------------


class _Coded(fx.Interpreter):
    """Runs the module with one layer's weights and outputs coded."""

    def __init__(self, graph: fx.GraphModule, layer: str, end: str, code: Code) -> None:
        super().__init__(graph)
        self._layer, self._end, self._code = layer, end, code

    def run_node(self, n: fx.Node) -> Any:
        if n.name == self._layer:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            axis = 1 if "transpose" in str(n.target) else 0
            output = n.target(args[0], _per_channel(args[1], axis), *args[2:], **kwargs)  # type: ignore[operator]
        else:
            output = super().run_node(n)
        return self._code(output) if n.name == self._end else output


def _alone(graph: fx.GraphModule, codes: Mapping[str, Code], images: Tensor) -> dict[str, float]:
    nodes = {node.name: node for node in graph.graph.nodes}
    errors = {}
    with torch.no_grad():
        exact = _flat(graph(images))
        size = float(exact.norm())
        for name, code in codes.items():
            rounded = _flat(_Coded(graph, name, _end(nodes[name]).name, code).run(images))
            errors[name] = float((rounded - exact).norm()) / size if size else math.nan
    return errors


def _end(node: fx.Node) -> fx.Node:
    """The last node of what the converter folds into a layer."""
    while len(node.users) == 1 and (kind := _base(user := next(iter(node.users)))) in _FOLDED:
        node = user
        if kind != "batch_norm":
            break
    return node


def _base(node: fx.Node) -> str:
    return str(node.target).removeprefix("aten.").partition(".")[0]


def _per_channel(weight: Tensor, axis: int) -> Tensor:
    """Weights in int8, one symmetric scale per output channel; a batch norm folded in moves the scales alone."""
    dims = [i for i in range(weight.dim()) if i != axis]
    scale = weight.abs().amax(dims, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny) / 127
    return torch.round(weight / scale) * scale


def _flat(outputs: Any) -> Tensor:
    return torch.cat([t.double().flatten() for t in pytree.tree_leaves(outputs) if isinstance(t, Tensor)])
