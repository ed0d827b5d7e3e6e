"""Shapes of tensors as the accelerator sees them: feature maps of rows, columns and channels."""

from collections.abc import Mapping, Sequence
from math import ceil, prod, sqrt

from ....hardware.lowering import HwOp
from ..feature_map import BRICK, FeatureMap, Size
from .kinds import MAX_STRIDE

__all__ = [
    "SHALLOW",
    "concatenated",
    "constant_map",
    "deepened",
    "hwc",
    "is_batched",
    "near_square",
    "stepped_over",
    "strides_far",
    "sums_channels",
    "without_ones",
]

SHALLOW = 8  # channels below which elementwise operators reshape a feature map


def hwc(shape: Sequence[int]) -> Size:
    """(rows, columns, channels) of a tensor; leading axes count as rows.

    >>> hwc((1, 14, 14, 192)), hwc((10,))
    ((14, 14, 192), (1, 1, 10))
    """
    if len(shape) < 2:
        return 1, 1, shape[-1] if shape else 1
    return prod(shape[:-2]), shape[-2], shape[-1]


def near_square(feature_map: FeatureMap) -> FeatureMap:
    """The pixels of a feature map rearranged to be as near to a square as they divide, as a fully connected layer reads
    the rows of its matrix.
    """
    n = feature_map.height * feature_map.width
    width = max(n // 16, ceil(sqrt(n)))
    while n % width:
        width += 1
    return feature_map._replace(height=n // width, width=width)


def stepped_over(op: HwOp, made: FeatureMap) -> FeatureMap:
    """What a slice of a map reads: with a step also the rows or columns between those it makes."""
    axis, _, _, step = op.extra
    rows, columns = (step if len(op.shape) == 4 and axis == k else 1 for k in (1, 2))
    return made._replace(height=made.height * rows, width=made.width * columns)


def strides_far(op: HwOp) -> bool:
    """Whether a window moves further than the accelerator can, along an axis on which it moves at all."""
    return any(step > MAX_STRIDE and size > 1 for step, size in zip(op.stride, op.shape[1:3], strict=True))


def deepened(feature_map: FeatureMap) -> FeatureMap:
    """A shallow feature map as elementwise operators reshape it: its smallest prime factors, up to a product of 16 or
    more, become the channels.

    >>> deepened(FeatureMap(32, 32, 3)).size
    (24, 8, 16)
    """
    factors, rest, n = [], feature_map.elements, 2
    while n * n <= rest:
        while rest % n == 0:
            factors.append(n)
            rest //= n
        n += 1
    factors += [rest] if rest > 1 else []
    channels = height = width = 1
    for factor in factors:
        if channels < BRICK:
            channels *= factor
        elif width < height:
            width *= factor
        else:
            height *= factor
    return feature_map._replace(height=max(height, width), width=min(height, width), channels=channels)


def is_batched(op: HwOp) -> bool:
    """Whether an operator is a pointwise convolution of a whole batch, that is, a matrix product."""
    return op.kind == "CONV_2D" and op.shape[0] > 1 and (*op.kernel, *op.stride, op.groups) == (1, 1, 1, 1, 1)


def sums_channels(op: HwOp, source: HwOp) -> bool:
    """Whether a MEAN is over channels, too. source: what produces its input."""
    return len(source.shape) - 1 in op.extra[1:]


def without_ones(shape: Sequence[int]) -> list[int]:
    """A shape without its leading ones."""
    first = next((k for k, n in enumerate(shape) if n > 1), len(shape))
    return list(shape[first:])


def concatenated(op: HwOp, producers: Mapping[str, HwOp]) -> list[tuple[str, int]]:
    """The parts of a concatenation in their order, as (tensor, elements along the axis); constants are called ""."""
    axis = op.extra[0]
    parts = [(name, producers[name].shape[axis]) for name in op.inputs]
    if op.const is not None:
        assert isinstance(op.const[1], tuple)
        size = (op.shape[axis] - sum(n for _, n in parts)) // len(op.const[1])
        for position, _ in op.const[1]:
            parts.insert(position, ("", size))
    return parts


def constant_map(op: HwOp, ofm: FeatureMap) -> FeatureMap:
    """The feature map of a constant operand: a scalar, one value a channel, a row, a column, a pixel or an element."""
    assert op.const is not None
    elements = {"scalar": 1}.get(op.const[0], ofm.channels)
    if op.const[0] in ("value", "inverse"):
        elements = op.extra[0] if op.extra else 1
    of_groups = op.const[0] in ("weight", "bias") and ofm.channels == 1  # channels stand as columns
    if op.const[0] != "full" and elements in (1, ofm.channels) and not of_groups:
        return FeatureMap(1, 1, elements, False, ofm.bits)
    if op.const[0] in ("value", "inverse"):
        size = hwc(op.extra[2:])
        if all(n in (1, whole) for n, whole in zip(size, ofm.size, strict=True)):
            return FeatureMap(*size, False, ofm.bits)
    return ofm._replace(bricks=False)
