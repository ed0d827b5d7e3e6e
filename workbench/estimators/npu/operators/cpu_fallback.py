"""Which operators the accelerator does not take, so that the CPU beside it must.

Rules: Ethos-U Vela 5.2, its supported operators ("Reason: ..." when it compiles).
"""

from collections.abc import Mapping, Sequence
from math import inf, prod

from ....hardware.lowering import HwOp
from ....hardware.tensor_scales import share_scale

__all__ = ["cpu_operators"]

_NEVER = frozenset(["SQRT", "BROADCAST_TO", "SELECT"])
_SAME_SCALES = frozenset(["MAXIMUM", "MINIMUM"])
_AT_ITS_SCALE = (None, ("scalar", -inf))  # second operands that have the scale of the first
_RESIZES = frozenset(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
_SOMETIMES = _NEVER.union(
    _SAME_SCALES, _RESIZES, ["STRIDED_SLICE", "MEAN", "DIV", "QUANTIZE", "TRANSPOSE", "TRANSPOSE_CONV"]
)
_LONGEST_AXIS = 1 << 16
_MAX_STRIDE = 3
_TRANSPOSED_STRIDES = ((1, 1), (2, 2))
_LARGEST_RATIO = 1024
_POWERS_OF_TWO = frozenset(2**k for k in range(11))


def cpu_operators(ops: Sequence[HwOp], family: str) -> frozenset[str]:
    """Names of the operators left to the CPU. family: "u55", "u65" or "u85"."""
    suspects = [op for op in ops if op.kind in _SOMETIMES or op.real or max(op.stride) > _MAX_STRIDE]
    if not suspects:
        return frozenset()
    producers = {op.name: op for op in ops}
    return frozenset(op.name for op in suspects if op.kind != "INPUT" and _falls_back(op, producers, family))


def _falls_back(op: HwOp, producers: Mapping[str, HwOp], family: str) -> bool:
    u85 = family == "u85"
    source = producers[op.inputs[0]] if op.inputs else op
    if op.kind == "QUANTIZE":
        return source.real
    if op.real or op.kind in _NEVER:
        return True
    if op.kind in _SAME_SCALES:
        return op.const not in _AT_ITS_SCALE or not share_scale(op.inputs, producers)
    if op.kind == "STRIDED_SLICE":  # a step over rows or columns only
        return op.extra[3] > 1 and op.extra[0] not in (len(op.shape) - 3, len(op.shape) - 2)
    if op.kind == "MEAN" and len(source.shape) - 1 in op.extra[1:]:
        return 1 not in (1, 1, 1, *source.shape)[-3:]
    if op.kind == "DIV":
        return not u85
    if op.kind == "TRANSPOSE":
        return not u85 and _has_too_long_axis(source.shape, op.extra)
    if op.kind == "TRANSPOSE_CONV":
        too_small = any(k < s for k, s in zip(op.kernel, op.stride, strict=True))
        return too_small or (not u85 and op.stride not in _TRANSPOSED_STRIDES)
    if op.kind in _RESIZES:
        can_resize = _u85_resizes if u85 else _u55_resizes
        size, new_size = source.shape[-3:-1], op.shape[-3:-1]
        if op.extra[2:] == (1,) and size != (1, 1):  # corners stay: by 2, 4 or 8 between them, on all of them
            return size != new_size and not _u55_resizes([n - 1 for n in size], [n - 1 for n in new_size], False)
        return not can_resize(size, new_size, op.kind == "RESIZE_BILINEAR")
    if op.kind == "DEPTHWISE_CONV_2D" and not u85:
        return max(op.stride) > _MAX_STRIDE
    if op.kind == "CONV_2D" and not u85 and max(op.stride) > _MAX_STRIDE:
        return op.same or source.kind == "PAD"
    return False


def _has_too_long_axis(shape: Sequence[int], order: Sequence[int]) -> bool:
    """Whether swapping axes one by one may need an axis that is too long; rank three is transposed at once."""
    leading = max(len(shape) - 3, 0)
    if prod(shape[:leading]) == 1 and tuple(order[:leading]) == tuple(range(leading)):
        return max(shape) > _LONGEST_AXIS
    pairs = ((a, b) for a in range(len(shape)) for b in range(a))
    return any(prod(shape) // (shape[a] * shape[b]) > _LONGEST_AXIS for a, b in pairs)


def _u85_resizes(size: Sequence[int], new_size: Sequence[int], bilinear: bool) -> bool:
    """Whether the U85 resizes a feature map of `size` rows and columns; bilinear ones have half-pixel centres."""
    if tuple(size) == (1, 1):
        return True
    ratios = [new / old for new, old in zip(new_size, size, strict=True)]
    return all(ratio in _POWERS_OF_TWO for ratio in ratios) if bilinear else max(ratios) <= _LARGEST_RATIO


def _u55_resizes(size: Sequence[int], new_size: Sequence[int], bilinear: bool) -> bool:
    """The same of the U55 and U65."""
    if tuple(size) == (1, 1) or (not bilinear and tuple(size) == tuple(new_size)):
        return True
    rows, columns = (new / old for new, old in zip(new_size, size, strict=True))
    return rows == columns and rows in ((2,) if bilinear else (2, 4, 8))
