"""Which operators the accelerator does not take, so that the processor beside it must.

Rules: Ethos-U Vela 5.2, its supported operators ("Reason: ..." when it compiles).
"""

from collections.abc import Sequence
from math import prod

from ...hardware.lowering import HwOp

__all__ = ["left_to_host"]

_NEVER = frozenset(["SQRT", "BROADCAST_TO"])
_SAME_SCALES = frozenset(["MAXIMUM", "MINIMUM"])
_SOMETIMES = (
    _NEVER
    | _SAME_SCALES
    | frozenset("STRIDED_SLICE MEAN DIV TRANSPOSE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR".split())
)
_LONGEST = 1 << 16
_MAX_STRIDE = 3
_LARGEST_RATIO = 1024
_POWERS = frozenset(2**k for k in range(11))


def left_to_host(ops: Sequence[HwOp], family: str) -> frozenset[str]:
    """Names of the operators. family: "u55", "u65" or "u85"."""
    asked = [op for op in ops if op.kind in _SOMETIMES or op.real or max(op.stride) > _MAX_STRIDE]
    if not asked:
        return frozenset()
    made = {op.name: op for op in ops}
    return frozenset(op.name for op in asked if op.kind != "INPUT" and _is_left(op, made, family))


def _is_left(op: HwOp, made: dict[str, HwOp], family: str) -> bool:
    small = family != "u85"
    source = made[op.inputs[0]] if op.inputs else op
    if op.real or op.kind in _NEVER or (op.kind in _SAME_SCALES and op.const is not None):
        return True
    if op.kind == "STRIDED_SLICE":  # a step over rows or columns only
        return op.extra[3] > 1 and op.extra[0] not in (len(op.shape) - 3, len(op.shape) - 2)
    if op.kind == "MEAN" and len(source.shape) - 1 in op.extra[1:]:
        return 1 not in (1, 1, 1, *source.shape)[-3:]
    if op.kind == "DIV":
        return small
    if op.kind == "TRANSPOSE":
        return small and _turns_too_much(source.shape, op.extra)
    if op.kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        return not _resizes(source.shape[-3:-1], op.shape[-3:-1], op.kind == "RESIZE_BILINEAR", small)
    if op.kind == "CONV_2D" and small and max(op.stride) > _MAX_STRIDE:
        return op.same or source.kind == "PAD"
    return False


def _turns_too_much(shape: Sequence[int], order: Sequence[int]) -> bool:
    """Whether swapping axes one by one may need an axis that is too long; rank three is turned at once."""
    lead = len(shape) - 3
    if prod(shape[: max(lead, 0)]) == 1 and tuple(order[: max(lead, 0)]) == tuple(range(max(lead, 0))):
        return max(shape) > _LONGEST
    pairs = ((a, b) for a in range(len(shape)) for b in range(a))
    return any(prod(shape) // (shape[a] * shape[b]) > _LONGEST for a, b in pairs)


def _resizes(size: Sequence[int], to: Sequence[int], bilinear: bool, small: bool) -> bool:
    """Whether a map of `size` rows and columns can be made one of `to`; bilinear ones have half-pixel centres."""
    if tuple(size) == (1, 1):
        return True
    ratios = [n / m for n, m in zip(to, size, strict=True)]
    if not small:
        return max(ratios) <= _LARGEST_RATIO if not bilinear else all(ratio in _POWERS for ratio in ratios)
    if not bilinear and tuple(size) == tuple(to):
        return True
    return ratios[0] == ratios[1] and ratios[0] in ((2,) if bilinear else (2, 4, 8))
