"""The constants of the deployed network as real numbers: folded weights and constant operands (float64).

Batch norms are folded in float64, with gain g, offset beta, mean m, variance v:

    W' = W g / sqrt(v + e),   b' = (b - m) g / sqrt(v + e) + beta

a layer norm's scale s and shift t before a fully connected layer:

    W' = W s,                 b' = b + W t
"""

from typing import Any

import numpy as np

from ..graph import Graph, Op
from ..graph.kinds import AFFINE
from .base import Weights
from .lowering import HwOp
from .values import value_of

__all__ = ["Constants"]


class Constants:
    """Values by operator.

    weights: (state_dict key, shape) -> values, or None for unknown ones (`value_of` says what these are).
    """

    def __init__(self, graph: Graph, weights: Weights | None) -> None:
        self.graph = graph
        self.weights = weights

    def layer(self, op: HwOp) -> tuple[np.ndarray, np.ndarray]:
        """Folded weight (torch's axes) and bias of a convolution or fully connected layer."""
        folds = [self.graph.by_name[name] for name in op.folds]
        weight, bias = self._get(folds[0], "weight"), self._get(folds[0], "bias")
        if weight.ndim == 3:  # conv1d
            weight = weight[:, :, None]
        if op.kind == "TRANSPOSE_CONV":
            weight = weight.transpose(1, 0, 2, 3)
        if op.before:
            norm = self.graph.by_name[op.before]
            bias = bias + weight @ np.broadcast_to(self._get(norm, "bias").reshape(-1), weight.shape[1:])
            weight = weight * self._get(norm, "weight").reshape(-1)
        for fold in folds[1:]:
            gain, shift = self._affine(fold)
            weight = weight * np.reshape(gain, (-1, *[1] * (weight.ndim - 1)))
            bias = bias * gain + shift
        return weight, np.broadcast_to(bias, (weight.shape[0],))

    def _affine(self, fold: Any) -> tuple[Any, Any]:
        """What a folded operator multiplies by and adds, per channel."""
        if fold.kind == "batch_norm":
            gain = self._get(fold, "weight") / np.sqrt(self._get(fold, "running_var") + fold["eps"])
            return gain, self._get(fold, "bias") - self._get(fold, "running_mean") * gain
        if fold.kind == "hard_sigmoid":
            return 1.0, 3.0
        if fold.kind not in AFFINE:
            return 1.0, 0.0  # the fused activation
        by = fold.get("scalar")
        if by is None:
            by = next(self.value(i) for i in fold.inputs if self.graph.by_name[i].kind == "param").reshape(-1)
        return {"add": (1.0, by), "sub": (1.0, -by), "mul": (by, 0.0)}.get(fold.kind) or (1 / by, 0.0)

    def operand(self, op: HwOp) -> np.ndarray:
        """The constant operand, in the deployed order of dimensions."""
        assert op.const is not None
        what, name = op.const
        if what == "scalar":
            return np.asarray(float(name))  # type: ignore[arg-type]
        owner = self.graph.by_name[str(name)]
        if what in ("value", "inverse"):
            data = self.value(owner.name)
            if op.kind == "BATCH_MATMUL":
                return data.reshape(op.extra)
            if what == "inverse":
                data = 1 / data
            if op.extra[1:] == (1,) and data.ndim > 1:  # channels last
                data = data.reshape(*[1] * (4 - data.ndim), *data.shape).transpose(0, 2, 3, 1)
            return data.reshape(-1) if data.size == (data.shape or (1,))[-1] else data
        data = self._norm(owner, what)
        if owner.kind == "group_norm":
            return data.reshape(op.shape)
        if owner.kind == "batch_norm":
            return data.reshape(1, -1, *[1] * (len(op.shape) - 2)) if len(op.shape) != 4 else data.reshape(1, 1, 1, -1)
        return data.reshape(-1)

    def _norm(self, op: Op, what: str) -> np.ndarray:
        if what == "rsqrt":
            return 1 / np.sqrt(self._get(op, "running_var") + op["eps"])
        return self._get(op, {"mean": "running_mean"}.get(what, what))

    def value(self, name: str) -> np.ndarray:
        """A tensor of the model that is an operand."""
        return self._get(self.graph.by_name[name], "value")

    def _get(self, op: Op, role: str) -> np.ndarray:
        return np.asarray(value_of(op, role, self.weights), dtype=np.float64)
