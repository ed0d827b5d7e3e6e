"""Which tensors are stored NHWC, because they cannot be in brick format.

Rules, read off the compiler (Ethos-U Vela 5.2). NHWC are

* inputs and outputs of the network, and what the CPU reads or writes
* what is read or written from a channel on that is no multiple of 16
* what a grouped convolution or a mean over channels reads
* sums, and what they add up where it has more than 8 bits
* what some operators read and write, by accelerator (`_NHWC_ONLY`), what is interpolated (U55, U65) and
  what a transposed convolution writes position by position (U85)
* what is read or written with several shapes, from a column on, or by windows with long strides
* mirrored padding
"""

from math import prod

from ....hardware.lowering import HwOp
from ..feature_map import BRICK, FeatureMap
from .aliases import Aliases
from .kinds import CONVOLUTIONS, LOOKED_UP, MAX_STRIDE, PASS_OPS, POOLS, RESHAPED_DEEPER, SLICES
from .shapes import concatenated, deepened, is_batched, near_square, strides_far, sums_channels

__all__ = ["grouped_output", "nhwc_locations"]

_NHWC_ONLY = {
    "u55": frozenset(["TRANSPOSE", "MATMUL", "REDUCE_SUM"]),
    "u65": frozenset(["TRANSPOSE", "MATMUL", "REDUCE_SUM"]),
    "u85": frozenset[str](),
}
_PARTICULAR = frozenset(  # kinds that may need NHWC
    "HOST CONCATENATION PAD PADV2 MIRROR_PAD REDUCE_SUM MEMORY_COPY RESIZE_BILINEAR MEAN SLICE STRIDED_SLICE "
    "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV AVERAGE_POOL_2D MAX_POOL_2D".split()
).union(*_NHWC_ONLY.values())


def nhwc_locations(aliases: Aliases, family: str) -> frozenset[str]:
    """The locations that are stored NHWC."""
    locations: set[str] = set()
    for op in aliases.ops:
        if op.kind in ("INPUT", "HOST") or not aliases.readers[op.name]:
            locations.add(aliases.locations[op.name])
        if op.kind in _PARTICULAR:
            locations |= _needed_by(op, aliases, family)
    return frozenset(locations | _read_with_several_shapes(aliases))


def grouped_output(op: HwOp, aliases: Aliases) -> str:
    """Where a grouped convolution writes: an activation is a pass of its own behind it."""
    return f"{op.name}_act" if op.act != "NONE" else aliases.locations[op.name]


def _needed_by(op: HwOp, aliases: Aliases, family: str) -> set[str]:
    """Locations that are NHWC because of this operator."""
    nhwc: set[str] = set()
    locations, producers = aliases.locations, aliases.producers
    if op.kind == "HOST":
        nhwc.update(locations[name] for name in op.inputs)
    if op.kind == "CONCATENATION" and (len(op.shape) != 4 or op.extra[0] == 3):
        channel = 0
        for _, channels in concatenated(op, producers):
            if channel % BRICK:
                nhwc.add(op.name)
            channel += channels
    wide_copy = op.kind == "MEMORY_COPY" and op.bits > 8 and family != "u85"
    if op.kind == "REDUCE_SUM":
        nhwc.update(locations[name] for name in (op.name, *op.inputs) if name == op.name or producers[name].bits > 8)
    if op.kind in _NHWC_ONLY[family] or wide_copy:
        nhwc.update(locations[name] for name in (op.name, *op.inputs))
    if op.kind == "RESIZE_BILINEAR" and family != "u85":
        nhwc.add(locations[op.name])
    if op.kind == "TRANSPOSE_CONV" and op.stride != (1, 1) and family == "u85":
        nhwc.add(grouped_output(op, aliases))
    if op.kind == "MEAN" and sums_channels(op, producers[op.inputs[0]]):
        nhwc.add(locations[op.inputs[0]])
    if op.kind == "CONV_2D" and op.groups > 1:
        nhwc.add(locations[aliases.unpadded(op.inputs[0], op)])
        if op.shape[-1] // op.groups % BRICK:
            nhwc.add(grouped_output(op, aliases))
    if op.kind in SLICES and op.extra[0] >= len(op.shape) - 2:
        nhwc.add(locations[op.inputs[0]])
    if op.kind in POOLS and strides_far(op) and not op.same:
        nhwc.add(locations[op.inputs[0]])
    if op.kind in CONVOLUTIONS and max(op.stride) > MAX_STRIDE:
        nhwc.add(locations[aliases.unpadded(op.inputs[0], op)])
    if op.kind in ("PAD", "PADV2") and len(op.extra) > 4:
        front, back = op.extra[-2:]
        if front % BRICK or (back and (op.shape[-1] - back) % BRICK):
            nhwc.add(locations[op.name])
    if op.kind == "MIRROR_PAD":
        nhwc.add(locations[op.name])
    return nhwc


def _read_with_several_shapes(aliases: Aliases) -> set[str]:
    """Locations that are read or written as feature maps of different columns or channels."""
    several: set[str] = set()
    first: dict[str, tuple[int, ...]] = {}  # columns and channels by location
    views, sizes, locations, producers = aliases.views, aliases.sizes, aliases.locations, aliases.producers
    whole = producers
    if aliases.containers or views:
        whole = {op.name: op for op in aliases.ops if _is_whole(op, aliases)}
    for op in aliases.ops:
        # an activation by lookup table is mostly part of the pass that makes its input, but not where it is reshaped
        fused = op.kind in LOOKED_UP and not aliases.is_shallow(op)
        if op.kind in ("INPUT", "HOST") or op.name in views or fused:
            continue
        # a copy is reshaped as what is looked up
        pass_op = "LUT" if op.kind == "MEMORY_COPY" or op.kind in LOOKED_UP else PASS_OPS.get(op.kind, "")
        reshapes = aliases.is_shallow(op) and (pass_op in RESHAPED_DEEPER or op.act != "NONE")
        squares = op.kind == "FULLY_CONNECTED" or is_batched(op)
        for name in (*op.inputs, op.name):
            if name not in whole:
                continue
            if op.kind in CONVOLUTIONS:
                name = aliases.unpadded(name, op)
            size = sizes[name]
            if squares:
                size = near_square(FeatureMap(*size)).size
            if reshapes and (name == op.name or (pass_op in RESHAPED_DEEPER and prod(size) > 1)):
                size = deepened(FeatureMap(*size)).size
            if first.setdefault(locations[name], size[1:]) != size[1:]:
                several.add(locations[name])
    return several


def _is_whole(op: HwOp, aliases: Aliases) -> bool:
    """Whether a tensor, reshaped or not, is all that its location holds."""
    while op.kind == "RESHAPE":
        op = aliases.producers[op.inputs[0]]
    return op.name not in aliases.containers and op.name not in aliases.views
