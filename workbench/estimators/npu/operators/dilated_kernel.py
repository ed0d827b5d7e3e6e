"""Kernels of convolutions as the accelerator applies them.

Rules, read off the compiler (Ethos-U Vela 5.2): the array spreads kernel elements over every input element or every
second one. Any other dilation d becomes a kernel with zeros between its elements,

    k elements of dilation d  ->  (k - 1) d / g + 1 elements of dilation g      g = 2 for even d, else 1

each axis by itself. The zeros are weights like any other: they are multiplied with, and stored.
"""

from functools import lru_cache
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ....hardware.lowering import HwOp
from ..weight_histogram import ZERO, WeightHistogram, normal_histogram

__all__ = ["AppliedKernel", "applied_kernel"]

_HARDWARE_DILATION = 2


class AppliedKernel(NamedTuple):
    """size, dilation: (rows, columns). histogram: of the weights, the zeros between them included; None: unknown."""

    size: tuple[int, int]
    dilation: tuple[int, int]
    histogram: WeightHistogram | None


def applied_kernel(op: HwOp, histogram: WeightHistogram | None) -> AppliedKernel:
    """The kernel of a convolution. histogram: of the weights it was given.

    >>> conv = HwOp("y", "CONV_2D", ("x",), (1, 8, 8, 4), ("y",), weight=(4, 3, 3, 8), dilation=(6, 1))
    >>> applied_kernel(conv, None)[:2]
    ((7, 3), (2, 1))
    """
    assert op.weight is not None
    rows, columns = op.weight[1:3]
    if max(op.dilation) <= _HARDWARE_DILATION:
        return AppliedKernel((rows, columns), op.dilation, histogram)
    dilation = gcd(op.dilation[0], _HARDWARE_DILATION), gcd(op.dilation[1], _HARDWARE_DILATION)
    size = (
        (rows - 1) * (op.dilation[0] // dilation[0]) + 1,
        (columns - 1) * (op.dilation[1] // dilation[1]) + 1,
    )
    if size == (rows, columns):  # dilation of one element
        return AppliedKernel(size, dilation, histogram)
    fan_in = rows * columns * (1 if op.kind == "DEPTHWISE_CONV_2D" else op.weight[3])
    spread = _with_zeros(histogram or normal_histogram(fan_in), rows * columns, prod(size))
    return AppliedKernel(size, dilation, spread)


@lru_cache(maxsize=1024)
def _with_zeros(histogram: WeightHistogram, elements: int, all_elements: int) -> WeightHistogram:
    """The histogram of weights whose kernels of `elements` elements have zeros added up to `all_elements`."""
    shares: np.ndarray = histogram.shares * (elements / all_elements)
    shares[ZERO] += 1 - elements / all_elements
    return WeightHistogram(shares.tobytes(), histogram.sparse)
