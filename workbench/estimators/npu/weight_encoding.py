"""Bytes of a pass's weights as stored: encoded, in the order the accelerator reads them.

Rules: Ethos-U Vela 5.2, weight encoder. Weights are stored OFM block by OFM block; zeros pad channels and kernel
elements to what is read at a time. A stream holds either every weight, or the weights that are not zero and the lengths
of the runs of zeros between them. A weight is replaced by its index in a palette of the 32 most frequent values where
these are half of all, else by 2 |w| (minus one for a negative sign); this number k is then written in one of 13 ways:

    k                 what is written                    d      bits of the remainder
    Golomb-Rice       (k >> d) + 1 + d bits              for k >> d up to 31
    truncated         min((k >> d) + 1, 2) + d bits      for k >> d up to 2
    uncompressed      bits of the largest k

The size follows from the histogram of the values. Unknown values are taken as normal, scaled so that the largest of
every output channel is 127. Tried and dropped: the entropy of a normal distribution with terms fitted for every order
(median error 2 %; this has none to fit and is within 1 % on layers above 4 KB).
"""

from functools import lru_cache
from itertools import product
from math import ceil, prod

import numpy as np

from .blocks.config import SUBKERNEL, BlockConfig
from .blocks.u55 import part_kernel_first
from .machine import Machine
from .passes import PassSpec
from .rounding import ceil_div, round_up
from .weight_histogram import ZERO, WeightHistogram, normal_histogram

__all__ = ["decode_cycles", "encoded_bytes", "header_bytes"]

_CODES = tuple(product((False, True), range(6)))  # (truncated, d)
_RUN_REMAINDERS = range(4)  # d of the codes for runs of zeros
_MAX_QUOTIENT, _MAX_TRUNCATED_QUOTIENT = 31, 2
_PALETTE = 32
_HEADER_BITS = 64


def encoded_bytes(machine: Machine, spec: PassSpec, histogram: WeightHistogram | None, block: BlockConfig) -> int:
    """Bytes of the encoded weights of a pass, 0 where it has none. histogram: None where the values are unknown."""
    if spec.kind not in ("conv", "depthwise"):
        return 0
    fan_in = _fan_in(spec)
    streams = min(machine.cores, spec.ofm.channels)
    weights, padded = fan_in * spec.ofm.channels, _padded_weights(machine, spec, block)
    bits = _stream_bits(histogram or normal_histogram(fan_in), weights, padded, streams)
    return streams * round_up(ceil(bits / 8 / streams), 16)


def header_bytes(machine: Machine, channels: int) -> int:
    """Bytes of the headers and palettes of the streams that hold the weights of so many output channels."""
    return min(machine.cores, channels) * (_HEADER_BITS // 8 + _PALETTE)


def decode_cycles(machine: Machine, spec: PassSpec, histogram: WeightHistogram | None, block: BlockConfig) -> int:
    """Cycles a U85 takes to decode the weights once: from 8 weights a cycle and core up to 32 where 90 % are zero."""
    weights, padded = _fan_in(spec) * spec.ofm.channels, _padded_weights(machine, spec, block)
    share = float((histogram or normal_histogram(_fan_in(spec))).shares[ZERO])
    zeros = (share * weights + padded - weights) / padded
    return padded // (int(8 + (min(max(zeros, 0.5), 0.9) - 0.5) * 24 / 0.4) * machine.cores)


def _fan_in(spec: PassSpec) -> int:
    """Weights of one output channel."""
    return spec.kernel[0] * spec.kernel[1] * (1 if spec.kind == "depthwise" else spec.ifm.channels)


def _padded_weights(machine: Machine, spec: PassSpec, block: BlockConfig) -> int:
    """Weights as read, padding included."""
    return _padded_u85(machine, spec, block) if machine.family == "u85" else _padded_u55(spec, block)


def _subkernel_elements(kernel: tuple[int, int]) -> list[int]:
    """Elements of the subkernels, at most 8 x 8, that a kernel is split into."""
    sides = [[min(SUBKERNEL, n - start) for start in range(0, n, SUBKERNEL)] for n in kernel]
    return [h * w for h, w in product(*sides)]


def _padded_u55(spec: PassSpec, block: BlockConfig) -> int:
    elements, channels = _subkernel_elements(spec.kernel), spec.ifm.channels
    outputs = round_up(spec.ofm.channels, block.microblock[2])
    if spec.kind == "depthwise":
        return sum(round_up(n, 4) for n in elements) * outputs
    if part_kernel_first(channels, prod(spec.kernel)):
        return round_up(channels, 8) * sum(round_up(n, 4) for n in elements) * outputs
    return round_up(channels, 32) * sum(elements) * outputs


def _padded_u85(machine: Machine, spec: PassSpec, block: BlockConfig) -> int:
    elements, outputs = _subkernel_elements(spec.kernel), round_up(spec.ofm.channels, block.microblock[2])
    if spec.kind == "depthwise":
        gap = 0 if machine.macs <= 256 else 2 if machine.macs <= 512 else 6
        return outputs * sum(round_up(n, 10) + gap * ceil_div(n, 10) for n in elements)
    step = 10 if spec.sparse else 5
    padded = sum(round_up(n, step) for n in elements) if block.part_kernel_first else sum(elements)
    return round_up(spec.ifm.channels, block.ifm[2]) * padded * outputs


@lru_cache(maxsize=1 << 16)
def _stream_bits(histogram: WeightHistogram, weights: int, padded: int, streams: int) -> float:
    """Bits of `weights` values and of the zeros that pad them to `padded`, split into `streams` streams."""
    counts = histogram.shares * weights
    padding = padded - weights
    zeros = float(counts[ZERO])
    share = zeros / weights
    writes_runs = _writes_zero_runs(counts, zeros * (1 - (1 - share) ** 2) + padding, zeros + padding)
    counts[ZERO] = 0 if writes_runs else zeros + padding
    total = float(counts.sum())
    bits = _value_bits(counts, total) if total else 0.0
    if writes_runs:
        bits += _run_bits(total, zeros, padding)
    palette = _PALETTE * 8 if total else 0
    return bits + streams * (_HEADER_BITS + palette)


def _writes_zero_runs(counts: np.ndarray, in_runs: float, zeros: float) -> bool:
    """Whether runs of zeros are written apart: zero is by far the most frequent value and rarely alone."""
    most_frequent = max(counts[:ZERO].max(), counts[ZERO + 1 :].max())
    return bool(in_runs >= zeros / 2 and zeros > 5 * most_frequent)


def _value_bits(counts: np.ndarray, total: float) -> float:
    """Bits of the values themselves in the cheapest code; counts [511] by value, which sum to `total`."""
    v = np.arange(-ZERO, ZERO + 1)
    frequency = np.zeros(512)
    frequency[2 * np.abs(v) + (v < 0)] = counts
    used = np.flatnonzero(frequency)
    order = np.argsort(-frequency, kind="stable")
    palette = order[: min(_PALETTE, len(used))]
    k = np.arange(512) - min(int(used[0]), _PALETTE - 1)
    uncompressed = max(2, int(used[-1]).bit_length())
    if frequency[palette].sum() >= total / 2:
        k = k + len(palette)
        k[palette] = np.arange(len(palette))
        # without all values in the palette, the rest cannot be told from it
        uncompressed = max(1, (len(palette) - 1).bit_length()) if len(used) <= _PALETTE else 0
    k, frequency = k[used], frequency[used]
    costs = [uncompressed * total] if uncompressed else []
    for truncated, d in _CODES:
        q = k >> d
        if q.max() <= (_MAX_TRUNCATED_QUOTIENT if truncated else _MAX_QUOTIENT):
            costs.append(float((frequency * ((np.minimum(q + 1, 2) if truncated else q + 1) + d)).sum()))
    return min(costs)


def _run_bits(written: float, zeros: float, padding: float) -> float:
    """Bits of the run of zeros before every written weight; lengths are geometric, and padding comes in long runs."""
    share = zeros / (zeros + written) if written else 0.0
    return min(
        written * (1 + d + share ** (2**d) / (1 - share ** (2**d)) if share < 1 else 0.0) + padding / 2**d
        for d in _RUN_REMAINDERS
    )
