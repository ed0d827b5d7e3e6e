"""Scales of the int8 network: which tensors share one, and where values must be requantised.

    s, z    scale and zero point of a tensor: real value = s (q - z), q in [-128, 127]
    lo, hi  the real range a tensor covers, always with 0 inside: s = (hi - lo) / 255, z = round(-128 - lo / s)

Ranges come from a calibration run where there is one. Without one they are plausible values that depend on the
tensor's name alone: what the compiler sees (which tensors share a scale, which concatenations requantise) then has the
structure of a calibrated file, if not its numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from zlib import crc32

from .lowering import ROW, HwOp

__all__ = ["Ranges", "Scale", "assign_scales", "requantised", "share_scale"]

Ranges = Mapping[str, tuple[float, float]]

# the file format demands one scale for input and output
_SHARED_SCALE = frozenset(
    "PAD PADV2 MAX_POOL_2D AVERAGE_POOL_2D SLICE STRIDED_SLICE RESHAPE TRANSPOSE RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR REDUCE_MAX REDUCE_MIN MAXIMUM MINIMUM MIRROR_PAD BROADCAST_TO".split()
)


@dataclass(frozen=True)
class Scale:
    """Scale and zero point of an int8 tensor."""

    scale: float
    zero: int


_FIXED = {"LOGISTIC": Scale(1 / 256, -128), "SOFTMAX": Scale(1 / 256, -128), "TANH": Scale(1 / 128, 0)}
_AVERAGED = 0.9  # averages cover less than the range of what they are of, whose scale they keep
_CANNOT_RESCALE = _SHARED_SCALE | _FIXED.keys() | {"CONCATENATION", "INPUT"}


def scale_of(low: float, high: float) -> Scale:
    """The asymmetric int8 scale that covers [low, high] and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-6) / 255
    return Scale(scale, max(-128, min(127, round(-128 - low / scale))))


def assign_scales(ops: tuple[HwOp, ...], ranges: Ranges | None = None) -> tuple[tuple[HwOp, ...], Mapping[str, Scale]]:
    """The operators with QUANTIZE inserted before concatenations where needed, and every tensor's scale."""
    users: dict[str, int] = {}
    for op in ops:
        for name in set(op.inputs):
            users[name] = users.get(name, 0) + 1
    producers = {op.name: op for op in ops}
    scales: dict[str, Scale] = {}
    for op in ops:
        if op.kind in _FIXED:
            scales[op.name] = _FIXED[op.kind]
        elif op.kind in _SHARED_SCALE and op.inputs:
            scales[op.name] = scales[op.inputs[0]]
        elif op.kind == "SELECT":  # between two tensors of one scale, which a QUANTIZE or what makes them takes on
            scales[op.name] = scales[op.inputs[2]] = scales[op.inputs[1]]
        elif ranges is not None and (tensor := op.name.removesuffix(ROW)) in ranges:
            scales[op.name] = scale_of(*ranges[tensor])
        elif op.kind == "CONCATENATION":
            covered = [_range_of(scales[name]) for name in op.inputs]
            scales[op.name] = scale_of(min(low for low, _ in covered), max(high for _, high in covered))
            if {producers[name].kind for name in op.inputs} == {"AVERAGE_POOL_2D"} and len(set(covered)) == 1:
                scales[op.name] = scale_of(*(_AVERAGED * edge for edge in covered[0]))
        else:
            scales[op.name] = scale_of(*_plausible_range(op))
        if op.kind == "CONCATENATION":
            for name in op.inputs:
                # an operator that only this concatenation reads, and that can rescale, writes at its scale
                if users[name] == 1 and producers[name].kind not in _CANNOT_RESCALE:
                    scales[name] = scales[op.name]
    return _requantised(ops, scales), scales


def share_scale(names: Sequence[str], producers: Mapping[str, HwOp]) -> bool:
    """Whether tensors have one scale whatever the calibration: that of one tensor, or the same fixed one."""
    origins = set()
    for name in names:
        op = producers[name]
        while op.kind in _SHARED_SCALE and op.inputs:
            op = producers[op.inputs[0]]
        origins.add(str(_FIXED[op.kind]) if op.kind in _FIXED else op.name)
    return len(origins) == 1


def requantised(ops: tuple[HwOp, ...]) -> tuple[HwOp, ...]:
    """The operators with QUANTIZE inserted before concatenations whose inputs' scales differ (without calibration)."""
    if not any(op.kind == "CONCATENATION" for op in ops):
        return ops
    return assign_scales(ops)[0]


def _requantised(ops: tuple[HwOp, ...], scales: dict[str, Scale]) -> tuple[HwOp, ...]:
    result: list[HwOp] = []
    copies: dict[tuple[str, Scale], str] = {}  # (tensor, scale) -> the tensor at that scale
    shapes = {op.name: op.shape for op in ops}
    for op in ops:
        if op.kind == "CONCATENATION":
            scale, inputs = scales[op.name], []
            for name in op.inputs:
                if scales[name] != scale:
                    if (name, scale) not in copies:
                        copies[name, scale] = copy = f"{name}.at.{op.name}"
                        result.append(HwOp(copy, "QUANTIZE", (name,), shapes[name], op.sources))
                        scales[copy] = scale
                    name = copies[name, scale]
                inputs.append(name)
            op = op._replace(inputs=tuple(inputs))
        result.append(op)
    return tuple(result)


def _range_of(scale: Scale) -> tuple[float, float]:
    return scale.scale * (-128 - scale.zero), scale.scale * (127 - scale.zero)


def _plausible_range(op: HwOp) -> tuple[float, float]:
    """A range like those of trained networks, a few units wide and different for every name."""
    seed = crc32(op.name.encode())
    low, high = (2.5 * exp(0.4 * (((seed >> shift) & 0xFFFF) / 0x8000 - 1)) for shift in (0, 16))
    if op.act == "RELU6" or op.kind == "RELU6":
        return 0.0, 6.0
    if "RELU_N1_TO_1" in (op.act, op.kind):
        return -1.0, 1.0
    if op.act == "RELU" or op.kind == "RELU":
        return 0.0, high
    if op.kind == "HARD_SWISH":
        return -0.375, high
    gate = f"{op.name.removesuffix(ROW)}.logistic"
    if op.kind == "MUL" and len(op.inputs) == 2 and op.inputs[1].removesuffix(ROW) == gate:
        return -0.278, high
    return -low, high
