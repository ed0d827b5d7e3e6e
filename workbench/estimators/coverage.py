"""Which operators and sizes were never measured.

The model's rules hold for any size, but they were checked on the networks that `calibrate` measures: these kinds of
operators, these sizes. Beyond them an estimate is an extrapolation, so it says so and its interval widens.
"""

from collections.abc import Sequence

from ..hardware.lowering import HwOp

__all__ = ["uncovered"]

# The kinds in the shipped measurements (nearest neighbours: tested against the compiler), and the largest of each size
# among them.
_KINDS = frozenset(
    "ADD AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D DIV FULLY_CONNECTED GELU HARD_SWISH "
    "LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD MUL PAD PADV2 QUANTIZE RELU RESHAPE RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SQUARED_DIFFERENCE SUB SUM TRANSPOSE".split()
)
_CHANNELS, _KERNEL, _SIDE = 4096, 11, 512


def uncovered(run: Sequence[HwOp]) -> tuple[str, ...]:
    """Reasons in words, one per kind of operator or size that no measured network has."""
    reasons: dict[str, None] = {}
    for op in run:
        if op.kind.startswith("UNSUPPORTED"):
            continue
        if op.kind not in _KINDS:
            reasons[f"{op.kind} was never measured"] = None
        if op.weight is not None and max(op.kernel) > _KERNEL:
            reasons[f"kernels above {_KERNEL} were never measured ({max(op.kernel)} in {op.sources[0]})"] = None
        if len(op.shape) == 4 and max(op.shape[1:3]) > _SIDE:
            reasons[f"maps above {_SIDE} pixels a side were never measured"] = None
        if op.shape[-1] > _CHANNELS:
            reasons[f"more than {_CHANNELS} channels were never measured ({op.shape[-1]} in {op.sources[0]})"] = None
    return tuple(reasons)
