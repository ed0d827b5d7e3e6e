"""Which operators and sizes of a network were measured little or never, and how far off an estimate is then.

The model's rules hold for any size, but they were checked on the networks that `calibrate` measures: these kinds of
operators, these sizes. Other kinds were compared with the compiler in small networks around one operator
(`operator_networks`), or never. Beyond what was measured in networks an estimate is an extrapolation, so it says so and
its interval widens.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..hardware.lowering import HwOp

__all__ = ["Coverage", "coverage"]

# The kinds in the shipped measurements (nearest neighbours: tested against the compiler), and the largest of each size
# among them.
_KINDS = frozenset(
    "ADD AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D DIV FULLY_CONNECTED GELU HARD_SWISH "
    "LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD MUL PAD PADV2 QUANTIZE RELU RESHAPE RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SQUARED_DIFFERENCE SUB SUM TRANSPOSE".split()
)
_CHANNELS, _KERNEL, _SIDE = 4096, 11, 512
# measured / modelled cycles of small networks around an operator, 90 % of them (benchmarks/sweep.py on U55-128, U65-512
# and U85-256, seed 1, three draws); in a network of many operators it weighs less
_IN_SMALL_NETWORKS = MappingProxyType(
    {
        "MAXIMUM": (0.997, 1.003),
        "MINIMUM": (0.997, 1.003),
        "REDUCE_MAX": (0.990, 1.002),
        "REDUCE_MIN": (0.92, 1.18),
        "STRIDED_SLICE": (0.970, 1.31),  # of the network's input, as YOLO's Focus slices it
        "TANH": (0.991, 1.006),
        "TRANSPOSE_CONV": (0.990, 1.009),
    }
)
# Of a sum over one element, for which the compiler still transposes, and makes what stands before it much dearer.
_SUM_OF_ONE = (0.95, 7.0)
# Of sums over the rows of a matrix, which the U85 takes 4 to 7 % longer for than estimated.
_SUM_OF_ROWS = (0.98, 1.09)
# The same of kinds before any of them was compared with the compiler: transposed convolutions and largest values lay
# between a half and twice (dilated convolutions, the worst, beyond).
_NEVER = (0.5, 2.0)


class Coverage(NamedTuple):
    """reasons: in words, one per kind of operator or size that no measured network has. large: whether a size is among
    them. kinds: factors of an estimate (low, high) for the kinds, (1, 1) where all are in measured networks.
    """

    reasons: tuple[str, ...]
    large: bool
    kinds: tuple[float, float]


def coverage(run: Sequence[HwOp]) -> Coverage:
    """What was measured of the operators of a network."""
    sizes: dict[str, None] = {}
    kinds: dict[str, tuple[float, float]] = {}
    shapes = {op.name: op.shape for op in run}
    for op in run:
        if op.kind.startswith("UNSUPPORTED"):
            continue
        if op.kind in _IN_SMALL_NETWORKS:
            kinds[f"{op.kind} was measured in small networks alone"] = _IN_SMALL_NETWORKS[op.kind]
        elif op.kind == "SUM" and shapes.get(op.inputs[0], ())[op.extra[1] : op.extra[1] + 1] == (1,):
            kinds[f"the sum {op.sources[0]} is over an axis of one element"] = _SUM_OF_ONE
        elif op.kind == "SUM" and op.extra[1] == len(shapes.get(op.inputs[0], ())) - 1:
            kinds["sums over rows were measured in small networks alone"] = _SUM_OF_ROWS
        elif op.kind not in _KINDS:
            kinds[f"{op.kind} was never measured"] = _NEVER
        if op.weight is not None and max(op.kernel) > _KERNEL:
            sizes[f"kernels above {_KERNEL} were never measured ({max(op.kernel)} in {op.sources[0]})"] = None
        if len(op.shape) == 4 and max(op.shape[1:3]) > _SIDE:
            sizes[f"maps above {_SIDE} pixels a side were never measured"] = None
        if op.shape[-1] > _CHANNELS:
            sizes[f"more than {_CHANNELS} channels were never measured ({op.shape[-1]} in {op.sources[0]})"] = None
    low, high = min((b[0] for b in kinds.values()), default=1.0), max((b[1] for b in kinds.values()), default=1.0)
    return Coverage((*kinds, *sizes), bool(sizes), (low, high))
