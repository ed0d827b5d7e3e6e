"""A MEAN as the sums it is made of.

Rules, read off the compiler (Ethos-U Vela 5.2): a mean is depthwise convolutions with ones, of at most 4096 kernel
elements and 64 rows, into 32 bits; their outputs are added up and multiplied by the reciprocal of the count. Of a whole
map of more rows and no more elements the rows are read as one.
"""

from dataclasses import dataclass

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..machine import Machine
from ..passes import Pass
from ..rounding import ceil_div
from ..weight_histogram import ALL_ONES
from .shapes import SHALLOW, deepened, sums_channels
from .storage import TensorStorage
from .stored_weights import with_stored_weights

__all__ = ["Sums", "mean_sums"]

_MAX_ELEMENTS, _MAX_ROWS = 4096, 64  # of a kernel


@dataclass(frozen=True)
class Sums:
    """passes: that sum up. ofm: the feature map each writes; added: the same as it is reshaped to be added up."""

    passes: tuple[Pass, ...]
    ofm: FeatureMap
    added: FeatureMap


def mean_sums(storage: TensorStorage, machine: Machine, op: HwOp) -> Sums:
    """The sums of a MEAN; over channels, these are read as columns."""
    source = storage.aliases.producers[op.inputs[0]]
    ifm = storage.maps[source.name]
    axes = {axis + 3 - len(source.shape) for axis in op.extra[1:]}  # among rows, columns, channels
    if sums_channels(op, source):
        kept_axis, lines = (0, ifm.height) if ifm.width == 1 else (1, ifm.width)
        ifm = FeatureMap(lines, ifm.channels, 1, False, ifm.bits)
        axes = {0, 1} if kept_axis in axes else {1}
    height, width = ifm.height if 0 in axes else 1, ifm.width if 1 in axes else 1
    rest = ifm.height // height, ifm.width // width
    if height > _MAX_ROWS and axes >= {0, 1} and height * width <= _MAX_ELEMENTS:  # in one row
        height, width = 1, height * width
        ifm = ifm._replace(height=1, width=width)
    rows = max(min(height, _MAX_ROWS, _MAX_ELEMENTS // width), 1)
    count = ceil_div(height, rows)
    bricks = rest == (1, 1) or (machine.family != "u85" and not sums_channels(op, source))
    ofm = FeatureMap(*rest, ifm.channels, bricks, bits=32)
    passes = []
    for k, size in enumerate([height - rows * (count - 1), *[rows] * (count - 1)]):
        name = f"{op.name}_sum{k}"
        pass_ = Pass(
            "DepthwiseConv2D", (storage.numbers[op.name],), (storage.location(source.name),), name,
            ifm._replace(height=size if height > 1 else ifm.height), ofm, kernel=(size, width),
            weight_name=f"{op.name}_{size}", weight_histogram=ALL_ONES,
        )  # fmt: skip
        passes.append(with_stored_weights(machine, pass_))
    shallow = ifm.channels < SHALLOW and ofm.elements > 2 * SHALLOW
    return Sums(tuple(passes), ofm, deepened(ofm) if shallow else ofm)
