"""int8 weights for ONNX Runtime that give the same sums on every processor.

    q, s        quantised weight and its scale, one per output channel: real value = s q, q in [-127, 127]
    x           quantised input, uint8: x in [0, 255]
    q_k, q_k+1  neighbours, k even, in the order in which the kernels multiply: input channels innermost, from the
                first weight of an output channel on in fours

x86-64 processors without VNNI multiply uint8 by int8 with VPMADDUBSW, which adds two neighbouring products in 16 bits
and saturates: x_k q_k + x_k+1 q_k+1 is wrong beyond [-32768, 32767]. Since x <= 255, the sum holds for every input
where neighbours of one sign do not exceed 128 together: 255 * 128 = 32640. The scale of a channel is the smallest one
that keeps to that; it comes to less than the bit that limiting every weight to [-64, 64] costs.
Depthwise convolutions have a kernel of their own that adds in 32 bits: they keep the whole range.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html ("When and why do I need to try U8U8?")
"""

import numpy as np

__all__ = ["largest_pair", "quantise_weight"]

_LEVELS = 127  # rounding adds at most 1/2 to each of two neighbours: 127 before it is 128 behind it
_LEAST = 1e-8  # of a channel's largest value: one of zeros has a scale, too


def quantise_weight(data: np.ndarray, axis: int, depthwise: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(int8 weight of the same shape, float32 scale [channels]) of a weight with its output channels along `axis`.

    data: [out, in, *kernel] with axis 0, or a matrix. depthwise: one input channel per output channel.

    >>> q, scale = quantise_weight(np.array([[1.0, 1.0, -0.5]]), 0)
    >>> q, (q * scale).round(2)
    (array([[ 64,  64, -32]], dtype=int8), array([[ 1.01,  1.01, -0.5 ]], dtype=float32))
    """
    others = tuple(i for i in range(data.ndim) if i != axis)
    largest = np.abs(data).max(axis=others)
    if not depthwise:
        largest = np.maximum(largest, largest_pair(data, axis))
    scale = (np.maximum(largest, _LEAST) / _LEVELS).astype(np.float32)
    shape = [-1 if i == axis else 1 for i in range(data.ndim)]
    return np.clip(np.rint(data / scale.reshape(shape)), -_LEVELS, _LEVELS).astype(np.int8), scale


def largest_pair(data: np.ndarray, axis: int) -> np.ndarray:
    """Per output channel the largest sum of two neighbours, of their positive or of their negative parts.

    >>> largest_pair(np.array([[3, 2, -4, -4], [1, -5, 1, 1]]), 0)
    array([8, 5])
    """
    rows = np.moveaxis(data, axis, 0)
    rows = np.moveaxis(rows, 1, -1).reshape(len(rows), -1)
    pairs = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(rows), -1, 2)
    largest: np.ndarray = np.maximum(np.maximum(pairs, 0).sum(2), np.maximum(-pairs, 0).sum(2)).max(1)
    return largest
