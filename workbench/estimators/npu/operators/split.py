"""One lowered operator as several passes.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a convolution or pool with a stride above 3 is a pass for every output position; with padding, it is one for every
  kernel element and block of the output (U85)
* a grouped convolution is a pass for every group, a product of batches of matrices one for every matrix (U85)
* a feature map of rank four and more that is sliced out of another is made map by map, one with an axis above 65536 in
  pieces
"""

from collections.abc import Mapping

from ....hardware.lowering import HwOp
from ..blocks.select import block_config
from ..feature_map import FeatureMap
from ..machine import Machine
from ..passes import Pass
from ..rounding import ceil_div
from ..weight_histogram import WeightHistogram
from .dilated_kernel import applied_kernel
from .kinds import MAX_STRIDE
from .operator_pass import unweighted_pass, weighted_pass
from .storage import TensorStorage
from .stored_weights import with_stored_weights

__all__ = [
    "batch_passes",
    "element_passes",
    "group_passes",
    "matmul_passes",
    "piece_passes",
    "pool_passes",
]

_LONGEST_AXIS = 1 << 16


def pool_passes(storage: TensorStorage, op: HwOp) -> list[Pass]:
    """A pool with a long stride."""
    pool = unweighted_pass(storage, op)
    position = pool._replace(
        ifm=pool.ifm._replace(height=op.kernel[0], width=op.kernel[1]), stride=(1, 1),
        ofm=pool.ofm._replace(height=1, width=1), whole=pool.whole or pool.ofm,
    )  # fmt: skip
    return [position] * (pool.ofm.height * pool.ofm.width)


def group_passes(
    storage: TensorStorage, machine: Machine, op: HwOp, histograms: Mapping[str, WeightHistogram], output: str
) -> list[Pass]:
    """A convolution in groups, or with a long stride and no padding. output: the location they write."""
    assert op.weight is not None
    location, ofm, whole = storage.output(op)
    source = storage.aliases.unpadded(op.inputs[0], op)
    ifm = storage.maps[source]
    by_position = max(op.stride) > MAX_STRIDE
    bricks = ofm.bricks if output == location and output not in storage.nhwc else output not in storage.nhwc
    total = ofm._replace(bricks=bricks)
    in_channels, out_channels = ifm.channels // op.groups, ofm.channels // op.groups
    part_in, part_out = ifm._replace(channels=in_channels), total._replace(channels=out_channels)
    kernel = applied_kernel(op, histograms.get(op.name))
    if by_position:
        rows, columns = ((size - 1) * d + 1 for size, d in zip(op.weight[1:3], op.dilation, strict=True))
        part_in, part_out = FeatureMap(rows, columns, in_channels, ifm.bricks), part_out._replace(height=1, width=1)
    part = Pass(
        "Conv2D", (storage.numbers[op.name],), (storage.location(source),), output, part_in, part_out,
        kernel=kernel.size, stride=(1, 1) if by_position else op.stride, dilation=kernel.dilation,
        weight_name=op.name, whole=whole if output == location and whole else total,
        weight_histogram=kernel.histogram, source_bytes=ifm.stored_bytes,
    )  # fmt: skip
    part = with_stored_weights(machine, part)
    count = op.groups * (ofm.height * ofm.width if by_position else 1)
    if by_position and op.groups == 1:
        return [part] * count
    return [part._replace(weight_name=f"{op.name}/{k}") for k in range(count)]


def element_passes(
    storage: TensorStorage, machine: Machine, op: HwOp, histograms: Mapping[str, WeightHistogram]
) -> list[Pass]:
    """A convolution with a long stride and padding, kernel element by kernel element."""
    assert op.weight is not None
    convolution = weighted_pass(storage, machine, op, histograms)
    pointwise = convolution._replace(kernel=(1, 1), stride=(1, 1), weight_bytes=0)
    ifm, ofm = pointwise.ifm, pointwise.ofm
    block = block_config(machine, pointwise.spec).ofm
    rows, columns, channels = (min(a, b) for a, b in zip(block, ofm.size, strict=True))
    reach = (rows - 1) * op.stride[0] + op.weight[1], (columns - 1) * op.stride[1] + op.weight[2]
    part = pointwise._replace(
        ifm=ifm._replace(height=min(reach[0], ifm.height), width=min(reach[1], ifm.width)),
        ofm=ofm._replace(height=rows, width=columns, channels=channels), whole=pointwise.whole or ofm,
    )  # fmt: skip
    part = with_stored_weights(machine, part)
    elements = [part._replace(weight_name=f"{op.name}/{k}") for k in range(op.weight[1] * op.weight[2])]
    return elements * (ceil_div(ofm.height, rows) * ceil_div(ofm.width, columns) * ceil_div(ofm.channels, channels))


def matmul_passes(storage: TensorStorage, machine: Machine, op: HwOp) -> list[Pass]:
    """A product of batches of matrices."""
    location, ofm, whole = storage.output(op)
    left, right = (storage.maps[name] for name in op.inputs)
    product = Pass(
        "MatMul", (storage.numbers[op.name],), tuple(storage.location(name) for name in op.inputs), location, left, ofm,
        ifm2=right, whole=whole,
    )  # fmt: skip
    if machine.family != "u85":
        # products of elements of 32 bits, and their sums, for a column
        scratch_bytes = 4 * (left.elements + left.height * left.width)
        return [product if machine.spills else product._replace(scratch_bytes=scratch_bytes)]
    matrix = product._replace(
        ifm=left._replace(height=1), ifm2=right._replace(height=1), ofm=ofm._replace(height=1),
        whole=(whole or ofm) if ofm.height > 1 else whole,
    )  # fmt: skip
    return [matrix] * ofm.height


def batch_passes(pass_: Pass, count: int) -> list[Pass]:
    """The pass as `count` passes, each on one feature map of a batch; batches count as rows."""

    def single(feature_map: FeatureMap) -> FeatureMap:
        if feature_map.height % count:
            return feature_map
        return feature_map._replace(height=feature_map.height // count)

    ifm2 = None if pass_.ifm2 is None else single(pass_.ifm2)
    whole = pass_.whole or pass_.ofm
    return [pass_._replace(ifm=single(pass_.ifm), ifm2=ifm2, ofm=single(pass_.ofm), whole=whole)] * count


def piece_passes(pass_: Pass, axis: int) -> list[Pass]:
    """The pass, or several where its input is too long for one along an axis (0 rows, 1 columns, 2 channels)."""
    size = pass_.ifm.size[axis]
    if size <= _LONGEST_AXIS:
        return [pass_]
    ofm_axis = axis if pass_.transpose is None else pass_.transpose.index(axis)
    lengths = [min(_LONGEST_AXIS, size - start) for start in range(0, size, _LONGEST_AXIS)]
    whole = pass_.whole or pass_.ofm
    return [
        pass_._replace(ifm=_with_length(pass_.ifm, axis, n), ofm=_with_length(pass_.ofm, ofm_axis, n), whole=whole)
        for n in lengths
    ]


def _with_length(feature_map: FeatureMap, axis: int, length: int) -> FeatureMap:
    height, width, channels = (length if k == axis else n for k, n in enumerate(feature_map.size))
    return FeatureMap(height, width, channels, feature_map.bricks, feature_map.bits)
