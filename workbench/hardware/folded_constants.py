"""The constants of the deployed network as real numbers: folded weights and constant operands (float64).

Batch norms are folded in float64, with gain g, offset beta, mean m, variance v:

    W' = W g / sqrt(v + e),   b' = (b - m) g / sqrt(v + e) + beta

a layer norm's scale s and shift t before a fully connected layer, numbers s and t before any layer:

    W' = W s,                 b' = b + W t
"""

from typing import Any

import numpy as np

from ..graph import Graph, Op
from ..graph.kinds import RECURRENT
from .lowering import HwOp
from .resize_matrix import bicubic_matrix
from .weight_values import Weights, parameter_values

__all__ = ["FoldedConstants", "resize_weight"]


def resize_weight(graph: Graph, op: HwOp) -> np.ndarray:
    """The matrix of a bicubic resize along the axis in `op.extra`."""
    resize, (axis,) = graph.by_name[op.folds[0]], op.extra
    before = graph.by_name[resize.inputs[0]].shape[axis]
    return bicubic_matrix(before, resize.shape[axis], bool(resize.get("align_corners")))


class FoldedConstants:
    """Constants of a lowered network, operator by operator, in float64.

    weights: (state_dict key, shape) -> values, or None for unknown ones, which `parameter_values` draws.
    """

    def __init__(self, graph: Graph, weights: Weights | None) -> None:
        self.graph = graph
        self.weights = weights

    def layer(self, op: HwOp) -> tuple[np.ndarray, np.ndarray]:
        """Folded weight (torch's axes) and bias [output channels] of a convolution or fully connected layer."""
        base, *folds = (self.graph.by_name[name] for name in op.folds)
        if base.kind == "resize":
            weight = resize_weight(self.graph, op)
            return weight, np.zeros(len(weight))
        roles = ("weight", "bias")
        if base.kind in RECURRENT:
            roles = ("weight_hh", "bias_hh") if op.extra == (1,) else ("weight_ih", "bias_ih")
        weight, bias = (self._parameter(base, role) for role in roles)
        if base.kind in RECURRENT and op.extra == (2,):
            bias = bias + self._parameter(base, "bias_hh")
        if weight.ndim == 3:  # conv1d
            weight = weight[:, :, None]
        if op.kind == "TRANSPOSE_CONV":
            weight = weight.transpose(1, 0, 2, 3)
        if op.before:
            norm = self.graph.by_name[op.before]
            bias = bias + weight @ np.broadcast_to(self._parameter(norm, "bias").reshape(-1), weight.shape[1:])
            weight = weight * self._parameter(norm, "weight").reshape(-1)
        for name in reversed(op.scalars):
            gain, shift = self._affine(self.graph.by_name[name])
            bias = bias + weight.reshape(len(weight), -1).sum(1) * shift
            weight = weight * gain
        for fold in folds:
            gain, shift = self._affine(fold)
            weight = weight * np.reshape(gain, (-1, *[1] * (weight.ndim - 1)))
            bias = bias * gain + shift
        return weight, np.broadcast_to(bias, (weight.shape[0],))

    def _affine(self, fold: Op) -> tuple[Any, Any]:
        """Factor and offset of a folded operator, each a number or one per channel."""
        if fold.kind == "batch_norm":
            gain = self._parameter(fold, "weight") / np.sqrt(self._parameter(fold, "running_var") + fold["eps"])
            return gain, self._parameter(fold, "bias") - self._parameter(fold, "running_mean") * gain
        if fold.kind == "hard_sigmoid":
            return 1.0, 3.0
        if fold.kind not in ("add", "sub", "mul", "div"):
            return 1.0, 0.0  # the fused activation
        constant = fold.get("scalar")
        if constant is None:
            constant = next(self.value(i) for i in fold.inputs if self.graph.by_name[i].kind == "param").reshape(-1)
        if fold.kind in ("add", "sub"):
            return 1.0, constant if fold.kind == "add" else -constant
        return (constant if fold.kind == "mul" else 1 / constant), 0.0

    def operand(self, op: HwOp) -> np.ndarray:
        """The constant operand of an operator (`HwOp.const`), in the deployed order of dimensions."""
        assert op.const is not None
        role, name = op.const
        if role == "scalar":
            return np.asarray(float(name))  # type: ignore[arg-type]
        owner = self.graph.by_name[str(name)]
        if role in ("value", "inverse"):
            values = self.value(owner.name)
            if op.kind == "BATCH_MATMUL":
                return values.reshape(op.extra)
            if role == "inverse":
                values = 1 / values
            if op.extra[1:2] == (1,) and values.ndim > 1:  # channels last
                values = values.reshape(*[1] * (4 - values.ndim), *values.shape).transpose(0, 2, 3, 1)
            return values.reshape(-1) if values.size == (values.shape or (1,))[-1] else values
        values = self._norm(owner, role)
        rank = len(op.shape)
        if owner.kind in RECURRENT:
            gate = values[slice(*op.extra)] if op.extra and values.ndim else values
            return np.broadcast_to(gate, (1, 1, gate.size if gate.ndim else op.shape[-1]))
        if owner.kind == "group_norm":
            return values.reshape(op.shape)
        if owner.kind == "instance_norm":
            return values.reshape(1, -1, 1, 1)
        if owner.kind == "prelu":  # a value a channel of a map in whatever order, or of rows
            in_order = rank != 4 or op.extra == (1,)
            return values.reshape(-1, *[1] * (rank - 2)) if in_order and values.size > 1 else values
        if owner.kind == "batch_norm":
            return values.reshape(1, 1, 1, -1) if rank == 4 else values.reshape(1, -1, *[1] * (rank - 2))
        return values.reshape(-1)

    def _norm(self, op: Op, role: str) -> np.ndarray:
        if role == "rsqrt":
            return 1 / np.sqrt(self._parameter(op, "running_var") + op["eps"])
        return self._parameter(op, {"mean": "running_mean"}.get(role, role))

    def parts(self, op: HwOp) -> list[np.ndarray]:
        """The constant inputs of a concatenation, in the deployed order of dimensions."""
        assert op.const is not None
        values = [self.value(name) for _, name in op.const[1]]  # type: ignore[attr-defined]
        return [part.transpose(0, 2, 3, 1) for part in values] if op.extra[1:] == (1,) else values

    def value(self, name: str) -> np.ndarray:
        """A tensor of the model that is an operand, by its operator's name."""
        return self._parameter(self.graph.by_name[name], "value")

    def _parameter(self, op: Op, role: str) -> np.ndarray:
        return np.asarray(parameter_values(op, role, self.weights), dtype=np.float64)
