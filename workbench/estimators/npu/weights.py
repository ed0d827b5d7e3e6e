"""Bytes of a pass's weights as stored: compressed, in the order the accelerator reads them.

    n          weights of the pass          zeros      that fill up channels and taps to what is read at a time
    entropy    bits of a weight of normal values, scaled so that the largest of m in a channel is 127:
               log2(127 sqrt(2 pi e) / sqrt(2 ln m))
    bytes      (n entropy + a n + b n [zeros > 0] + c zeros) / 8 + d channels + e

The compiler codes with Golomb-Rice codes and runs of zeros. a..e are fitted to 31000 tensors of normal values (the
ones networks without weights get); the median error is 2 %.
"""

from functools import lru_cache
from math import e, log, log2, pi, sqrt

from . import blocks_u55, blocks_u85
from .machine import Machine
from .passes import Pass, up

__all__ = ["packed_bytes"]

_FIT = {
    "u55": {
        "taps": (0.585, 0.748, 1.124, -2.119, 42.5),
        "depthwise": (0.926, 0.926, 1.764, -1.497, 29.4),
        "channels": (0.336, 0.763, 1.057, -0.290, 47.6),
    },
    "u65": {
        "taps": (0.507, 1.353, 0.683, -0.731, 88.6),
        "depthwise": (0.964, 0.964, 1.931, -1.659, 60.4),
        "channels": (0.368, 0.801, 1.035, -0.807, 110.8),
    },
    "u85": {
        "taps": (0.924, 0.352, 0.724, -0.420, 302.4),
        "depthwise": (1.182, 1.182, 0.098, -0.743, 113.4),
        "channels": (0.379, 0.666, 1.602, -1.059, 237.3),
    },
}
_ONES = {"u55": (0.125, 16), "u65": (0.125, 32), "u85": (0.205, 64)}  # a mean's weights are all 1


def packed_bytes(machine: Machine, pass_: Pass, ones: bool = False) -> int:
    """Bytes of the weights of a pass. ones: all of them are 1, as a mean's are."""
    return _packed(
        "u55" if machine.cores == 1 and machine.family == "u65" else machine.family,
        pass_.kind,
        pass_.kernel[0] * pass_.kernel[1],
        pass_.ifm.channels,
        pass_.ofm.channels,
        ones,
    )


@lru_cache(maxsize=65536)
def _packed(family: str, kind: str, taps: int, inputs: int, outputs: int, ones: bool) -> int:
    u85 = family == "u85"
    if ones:
        share, fixed = _ONES[family]
        return up(int(taps * outputs * share) + fixed, 16)
    if kind == "depthwise":
        order, summed, n = "depthwise", taps, taps * outputs
        stored = up(taps, 4) * up(outputs, 16 if u85 else 8)
    elif (blocks_u85 if u85 else blocks_u55).takes_taps_first(inputs, taps):
        order, summed, n = "taps", taps * inputs, taps * inputs * outputs
        rounded = taps // 5 * 5 + (max(taps % 5, 2) if taps % 5 else 0) if u85 else up(taps, 4)
        stored = up(inputs, 16 if u85 else 8) * rounded * outputs
    else:
        order, summed, n = "channels", taps * inputs, taps * inputs * outputs
        stored = up(inputs, 64 if u85 else 32) * taps * outputs
    entropy = log2(127 * sqrt(2 * pi * e) / max(1.0, sqrt(2 * log(max(summed, 2)))))
    each, padded, zero, channel, base = _FIT[family][order]
    zeros = stored - n
    bits = n * (entropy + each + (padded if zeros else 0)) + zero * zeros
    return up(max(int(bits / 8 + channel * outputs + base), 16), 16)
