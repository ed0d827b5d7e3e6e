"""How often each int8 value occurs in a layer's weights: what their encoded size depends on besides their number.

    share[v]    fraction of the weights that have the quantised value v, -255 <= v <= 255, at index v + 255
"""

from dataclasses import dataclass
from functools import cache
from math import log2

import numpy as np

__all__ = ["ALL_ONES", "ZERO", "WeightHistogram", "normal_histogram", "weight_histogram"]

ZERO = 255  # index of the value 0
_LARGEST = 127  # quantised value of the largest weight of an output channel
_DRAWS = 65536  # normal numbers that stand for the weights of a layer


@dataclass(frozen=True)
class WeightHistogram:
    """data: shares [511] as the bytes of a float64 array, so that it hashes. sparse: whether of every four input
    channels two weights are zero (2:4).
    """

    data: bytes
    sparse: bool = False

    @property
    def shares(self) -> np.ndarray:
        """Shares [511], float64, read-only; they sum to one."""
        return np.frombuffer(self.data)


def weight_histogram(weight: np.ndarray, axis: int = 0) -> WeightHistogram:
    """The histogram of a weight [..] quantised as a converter does it: every channel of `axis` by its own scale, which
    gives its largest magnitude the value 127.

    Of a weight [outputs, inputs, ..] it also says whether it is sparse, 2:4.

    >>> float(weight_histogram(np.array([[0.0, 1.0], [0.0, -2.0]])).shares[ZERO])
    0.5
    """
    other_axes = tuple(i for i in range(weight.ndim) if i != axis)
    peak = np.abs(weight).max(axis=other_axes, keepdims=True)
    quantised = np.rint(weight * (_LARGEST / np.where(peak > 0, peak, 1))).astype(np.int64)
    shares = np.bincount(quantised.ravel() + ZERO, minlength=511) / quantised.size
    return WeightHistogram(shares.tobytes(), axis == 0 and quantised.ndim > 1 and _is_sparse(quantised))


def _is_sparse(weight: np.ndarray) -> bool:
    """Whether of every four input channels (axis 1) at most two are not zero."""
    return all(int(np.count_nonzero(weight[:, i : i + 4], axis=1).max()) <= 2 for i in range(0, weight.shape[1], 4))


ALL_ONES = WeightHistogram(np.eye(1, 511, ZERO + 1).ravel().tobytes())  # the weights of a mean


def normal_histogram(fan_in: int) -> WeightHistogram:
    """The histogram of normally distributed weights, `fan_in` in every output channel."""
    return _normal_histogram(_rounded(fan_in))


def _rounded(fan_in: int) -> int:
    """fan_in, above 64 rounded to a quarter of a power of two, so that a few histograms serve all layers."""
    return fan_in if fan_in <= 64 else round(2 ** (round(log2(fan_in) * 4) / 4))


@cache
def _normal_histogram(fan_in: int) -> WeightHistogram:
    channels = max(4, min(256, _DRAWS // fan_in))
    weights = _normal_numbers(max(_DRAWS, channels * fan_in))[: channels * fan_in]
    return weight_histogram(weights.reshape(channels, fan_in))


@cache
def _normal_numbers(count: int) -> np.ndarray:
    """Normal numbers [count], the same in every process."""
    return np.random.default_rng(0).standard_normal(count)
