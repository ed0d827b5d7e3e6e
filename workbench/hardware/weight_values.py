"""Weight values for the files that are written: the network's own, or seeded random ones of a plausible size."""

from collections.abc import Callable
from functools import reduce
from math import prod
from zlib import crc32

import numpy as np

from ..graph import Op, compressed

__all__ = ["Weights", "parameter_values"]

# Where weight values come from: (state_dict key, shape) -> float32 values, or None where unknown.
Weights = Callable[[str, tuple[int, ...]], np.ndarray | None]


def parameter_values(op: Op, role: str, weights: Weights | None) -> np.ndarray:
    """The values of one parameter of an operator, in the parameter's shape.

    role: "weight", "bias", ... A parameter that the operator lacks is its neutral value (1 for a weight or a variance,
    else 0). Where `weights` has no values, they are drawn from a normal distribution seeded by the parameter's name
    (variance 2 / fan-in), and a norm is the identity. The operator's compression is applied to its weight.

    >>> from workbench.graph import Param
    >>> op = Op("y", "linear", ("x",), (1, 2), params=(Param("weight", "fc.weight", (2, 3)),))
    >>> parameter_values(op, "weight", None).shape, float(parameter_values(op, "bias", None))
    ((2, 3), 0.0)
    """
    neutral = 1.0 if role in ("weight", "running_var") else 0.0
    param = op.param(role)
    if param is None:
        return np.asarray(neutral)
    own = weights(param.name, param.shape) if weights is not None else None
    if own is not None:
        values = np.asarray(own).reshape(param.shape)
    elif (role.startswith("weight") and len(param.shape) > 1) or role == "value":
        random = np.random.default_rng(crc32(param.name.encode()))
        fan_in = max(1, prod(param.shape[1:]))
        values = random.standard_normal(param.shape) * (2 / fan_in) ** 0.5
    else:
        values = np.full(param.shape, neutral)
    return reduce(compressed, op.get("compress", ()), values) if role == "weight" else values
