"""One lowered operator as one pass."""

from collections.abc import Mapping
from math import prod

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..machine import Machine
from ..passes import Pass
from ..weight_histogram import WeightHistogram
from .dilated_kernel import AppliedKernel, applied_kernel
from .kinds import MAX_STRIDE, PASS_OPS, POOLS, RESHAPED_DEEPER, SLICES
from .shapes import constant_map, deepened, is_batched, near_square, stepped_over, strides_far
from .storage import TensorStorage
from .stored_weights import with_stored_weights

__all__ = ["unweighted_pass", "weighted_pass"]


def weighted_pass(
    storage: TensorStorage, machine: Machine, op: HwOp, histograms: Mapping[str, WeightHistogram]
) -> Pass:
    """A convolution or a fully connected layer, whatever its stride and groups, with its encoded weights.

    histograms: of weights, by operator name.
    """
    location, ofm, whole = storage.output(op)
    source = storage.aliases.unpadded(op.inputs[0], op)
    ifm = storage.maps[source]
    if op.kind == "FULLY_CONNECTED":
        assert op.weight is not None
        rows = prod(storage.aliases.producers[op.inputs[0]].shape) // op.weight[-1]
        ifm = near_square(FeatureMap(1, rows, op.weight[-1], ifm.bricks))
        ofm = near_square(FeatureMap(1, rows, op.weight[0], ofm.bricks))
    if is_batched(op):
        ifm, ofm = near_square(ifm), near_square(ofm)
    histogram = histograms.get(op.name.partition("/")[0])
    kernel = AppliedKernel((1, 1), (1, 1), histogram)
    if op.weight is not None and len(op.weight) == 4:
        kernel = applied_kernel(op, histogram)
    pass_ = Pass(
        PASS_OPS[op.kind], (storage.numbers[op.name],), (storage.location(source),), location, ifm, ofm,
        kernel=kernel.size, stride=op.stride, dilation=kernel.dilation, weight_name=op.name, whole=whole,
        weight_histogram=kernel.histogram,
    )  # fmt: skip
    return with_stored_weights(machine, pass_)


def unweighted_pass(storage: TensorStorage, op: HwOp) -> Pass:
    """Any other operator; elementwise ones reshape shallow feature maps."""
    location, ofm, whole = storage.output(op)
    inputs = [storage.location(name) for name in op.inputs]
    maps = [storage.maps[name] for name in op.inputs]
    if op.const is not None and op.const[0] != "alpha":
        position = 0 if op.const_first else len(inputs)
        inputs.insert(position, "")
        maps.insert(position, constant_map(op, ofm._replace(bits=maps[0].bits)))
    names = tuple(inputs[:2]) if len(inputs) > 1 and inputs[0] != inputs[1] else tuple(inputs[:1])
    tensor_bytes = 0
    if op.kind in SLICES:
        maps = [stepped_over(op, ofm._replace(bricks=maps[0].bricks))]
    if (PASS_OPS.get(op.kind) in RESHAPED_DEEPER or op.kind == "MEMORY_COPY") and storage.aliases.is_shallow(op):
        maps = [deepened(m) if m.elements > 1 else m for m in maps]
        tensor_bytes = ofm.stored_bytes if whole is None else 0
        ofm = deepened(ofm)
    stride = op.stride
    if op.kind in POOLS and not strides_far(op):  # a window that does not move along an axis has no stride there
        stride = op.stride[0] if op.stride[0] <= MAX_STRIDE else 1, op.stride[1] if op.stride[1] <= MAX_STRIDE else 1
    return Pass(
        PASS_OPS.get(op.kind, "MemoryCopy" if op.kind in SLICES else op.kind), (storage.numbers[op.name],), names,
        location, maps[0] if maps else ofm, ofm, ifm2=maps[1] if len(maps) > 1 else None, kernel=op.kernel,
        stride=stride, dilation=op.dilation, whole=whole, tensor_bytes=tensor_bytes,
    )  # fmt: skip
