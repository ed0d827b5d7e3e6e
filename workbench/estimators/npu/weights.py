"""Bytes of a pass's weights as stored: compressed, in the order the accelerator reads them.

Rules: Ethos-U Vela 5.2, weight encoder. Weights are read tile by tile; zeros fill up channels and taps to what is read
at a time. A stream holds either every weight, or the weights that are not zero and the lengths of the runs of zeros
between them. A weight is replaced by its place in a palette of the 32 most frequent values where these are half of all,
else by 2 |w| (minus one for a negative sign), and then written in one of thirteen ways:

    k                 what is written                    d      bits of the remainder
    Golomb-Rice       (k >> d) + 1 + d bits              for k >> d up to 31
    truncated         min((k >> d) + 1, 2) + d bits      for k >> d up to 2
    as it is          bits of the largest k

The size follows from the distribution of the values. Where the values are unknown they are taken as normal, scaled so
that the largest of every output channel is 127. Tried and dropped: the entropy of a normal distribution with terms
fitted for every order (median error 2 %; this has none to fit and is within 1 % on layers above 4 KB).
"""

from functools import cache, lru_cache
from itertools import product
from math import ceil, log2, prod

import numpy as np

from .blocks_u55 import takes_taps_first
from .machine import Machine
from .passes import Block, Values, Work, up

__all__ = ["ONES", "decode_cycles", "distribution", "packed_bytes"]

_ZERO = 255  # index of the value 0 among -255..255
_WAYS = tuple(product((False, True), range(6)))  # (truncated, d)
_RUN_WAYS = range(4)
_MAX_K, _MAX_TRUNCATED_K = 31, 2
_PALETTE = 32
_HEADER_BITS = 64
_DRAWN = 65536  # numbers that stand for normal weights
_SUBKERNEL = 8  # a larger kernel is read in parts of 8 x 8


def distribution(weight: np.ndarray, axis: int = 0) -> Values:
    """The values of a weight [..] scaled as a converter does it, every channel of `axis` to a largest one of 127.

    >>> float(distribution(np.array([[0.0, 1.0], [0.0, -2.0]])).shares[255])
    0.5

    Of a weight [outputs, inputs, ..] it tells, too, whether it is sparse, 2:4.
    """
    other = tuple(i for i in range(weight.ndim) if i != axis)
    peak = np.abs(weight).max(axis=other, keepdims=True)
    scaled = np.rint(weight * (127 / np.where(peak > 0, peak, 1))).astype(np.int64)
    shares = np.bincount(scaled.ravel() + _ZERO, minlength=511) / scaled.size
    return Values(shares.tobytes(), axis == 0 and scaled.ndim > 1 and _is_sparse(scaled))


def _is_sparse(weight: np.ndarray) -> bool:
    """Whether of every four input channels (axis 1) two are zero."""
    used = np.count_nonzero
    return all(int(used(weight[:, i : i + 4], axis=1).max()) <= 2 for i in range(0, weight.shape[1], 4))


ONES = Values(np.eye(1, 511, _ZERO + 1).ravel().tobytes())  # a mean's weights


def packed_bytes(machine: Machine, work: Work, values: Values | None, block: Block) -> int:
    """Bytes of the weights of a pass, 0 where it has none. values: how they are distributed, None where unknown."""
    if work.kind not in ("conv", "depthwise"):
        return 0
    summed = _summed(work)
    streams = min(machine.cores, work.ofm.channels)
    bits = _bits(values or _normal(_near(summed)), summed * work.ofm.channels, _stored(machine, work, block), streams)
    return streams * up(ceil(bits / 8 / streams), 16)


def decode_cycles(machine: Machine, work: Work, values: Values | None, block: Block) -> int:
    """Cycles a U85 takes to unpack the weights once: faster where many are zero."""
    weights, stored = _summed(work) * work.ofm.channels, _stored(machine, work, block)
    share = float((values or _normal(_near(_summed(work)))).shares[_ZERO])
    zeros = (share * weights + stored - weights) / stored
    return stored // (int(8 + (min(max(zeros, 0.5), 0.9) - 0.5) * 24 / 0.4) * machine.cores)


def _summed(work: Work) -> int:
    """Weights of one output channel."""
    return work.kernel[0] * work.kernel[1] * (1 if work.kind == "depthwise" else work.ifm.channels)


def _stored(machine: Machine, work: Work, block: Block) -> int:
    """Weights read, zeros that fill up included."""
    return _stored_u85(machine, work, block) if machine.family == "u85" else _stored_u55(work, block)


def _parts(kernel: tuple[int, int]) -> list[int]:
    """Taps of the parts a kernel is read in."""
    sizes = [[min(_SUBKERNEL, n - at) for at in range(0, n, _SUBKERNEL)] for n in kernel]
    return [h * w for h, w in product(*sizes)]


def _stored_u55(work: Work, block: Block) -> int:
    taps, outputs = _parts(work.kernel), work.ofm.channels
    if work.kind == "depthwise":
        return sum(up(n, 4) for n in taps) * up(outputs, block.micro[2])
    if takes_taps_first(work.ifm.channels, prod(work.kernel)):
        return up(work.ifm.channels, 8) * sum(up(n, 4) for n in taps) * up(outputs, block.micro[2])
    return up(work.ifm.channels, 32) * sum(taps) * up(outputs, block.micro[2])


def _stored_u85(machine: Machine, work: Work, block: Block) -> int:
    taps, outputs = _parts(work.kernel), up(work.ofm.channels, block.micro[2])
    if work.kind == "depthwise":
        gap = 0 if machine.macs <= 256 else 2 if machine.macs <= 512 else 6
        return outputs * sum(up(n, 10) + gap * -(-n // 10) for n in taps)
    rounded = sum(up(n, 10 if work.sparse else 5) for n in taps) if block.part_kernel else sum(taps)
    return up(work.ifm.channels, block.ifm[2]) * rounded * outputs


def _near(n: int) -> int:
    """n, rounded so that a few distributions serve all sizes."""
    return n if n <= 64 else round(2 ** (round(log2(n) * 4) / 4))


@cache
def _normal(summed: int) -> Values:
    """Normal values, `summed` of them in every output channel."""
    channels = max(4, min(256, _DRAWN // summed))
    drawn = _drawn(max(_DRAWN, channels * summed))[: channels * summed]
    return distribution(drawn.reshape(channels, summed))


@cache
def _drawn(count: int) -> np.ndarray:
    """Normal numbers, always the same."""
    return np.random.default_rng(0).standard_normal(count)


@lru_cache(maxsize=1 << 16)
def _bits(values: Values, weights: int, stored: int, streams: int) -> float:
    """Bits of `weights` values and of the zeros that make them `stored`, in so many streams."""
    counts = values.shares * weights
    filling = stored - weights
    zeros = float(counts[_ZERO])
    share = zeros / weights
    alternating = _alternates(counts, zeros * (1 - (1 - share) ** 2) + filling, zeros + filling)
    counts[_ZERO] = 0 if alternating else zeros + filling
    total = float(counts.sum())
    bits = _value_bits(counts, total) if total else 0.0
    if alternating:
        bits += _run_bits(total, zeros, filling)
    palette = _PALETTE * 8 if total else 0
    return bits + streams * (_HEADER_BITS + palette)


def _alternates(counts: np.ndarray, in_runs: float, zeros: float) -> bool:
    """Whether runs of zeros are written apart: zero is by far the most frequent and rarely alone."""
    common = max(counts[:_ZERO].max(), counts[_ZERO + 1 :].max())
    return bool(in_runs >= zeros / 2 and zeros > 5 * common)


def _value_bits(counts: np.ndarray, total: float) -> float:
    v = np.arange(-255, 256)
    frequency = np.zeros(512)
    frequency[2 * np.abs(v) + (v < 0)] = counts
    used = np.flatnonzero(frequency)
    order = np.argsort(-frequency, kind="stable")
    palette = order[: min(_PALETTE, len(used))]
    k = np.arange(512) - min(int(used[0]), _PALETTE - 1)
    as_is = max(2, int(used[-1]).bit_length())
    if frequency[palette].sum() >= total / 2:
        k = k + len(palette)
        k[palette] = np.arange(len(palette))
        # without all values in the palette, the rest cannot be told from it
        as_is = max(1, (len(palette) - 1).bit_length()) if len(used) <= _PALETTE else 0
    k, weight = k[used], frequency[used]
    costs = [as_is * total] if as_is else []
    for truncated, d in _WAYS:
        q = k >> d
        if q.max() <= (_MAX_TRUNCATED_K if truncated else _MAX_K):
            costs.append(float((weight * ((np.minimum(q + 1, 2) if truncated else q + 1) + d)).sum()))
    return min(costs)


def _run_bits(written: float, zeros: float, filling: float) -> float:
    """Bits of the run of zeros before every written weight, lengths geometric; what fills up comes in long runs."""
    share = zeros / (zeros + written) if written else 0.0
    return min(
        written * (1 + d + share ** (2**d) / (1 - share ** (2**d)) if share < 1 else 0.0) + filling / 2**d
        for d in _RUN_WAYS
    )
