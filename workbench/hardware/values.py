"""Weight values for the files we write: given or seeded random ones of a plausible size, compressed where asked."""

from functools import reduce
from math import prod
from zlib import crc32

import numpy as np

from ..graph import Op, compressed
from .base import Weights

__all__ = ["value_of"]


def value_of(op: Op, role: str, weights: Weights | None) -> np.ndarray:
    """The values of one parameter, float64 or as given; a parameter the operator lacks is its neutral value.

    Unknown ones are drawn from a normal distribution seeded by their name (fan-in scaled); norms become identities.
    The operator's compression is applied to its weight, given or drawn.

    >>> from workbench.graph import Param
    >>> op = Op("y", "linear", ("x",), (1, 2), params=(Param("weight", "fc.weight", (2, 3)),))
    >>> value_of(op, "weight", None).shape, float(value_of(op, "bias", None))
    ((2, 3), 0.0)
    """
    neutral = 1.0 if role in ("weight", "running_var") else 0.0
    param = op.param(role)
    if param is None:
        return np.asarray(neutral)
    found = weights(param.name, param.shape) if weights is not None else None
    if found is not None:
        values = np.asarray(found).reshape(param.shape)
    elif (role == "weight" and len(param.shape) > 1) or role == "value":
        random = np.random.default_rng(crc32(param.name.encode()))
        fan_in = max(1, prod(param.shape[1:]))
        values = random.standard_normal(param.shape) * (2 / fan_in) ** 0.5
    else:
        values = np.full(param.shape, neutral)
    return reduce(compressed, op.get("compress", ()), values) if role == "weight" else values
