"""What the regressors see of an operator inside its network.

    ih, iw, ic   height, width, channels of the first input     oh, ow, oc   of the output
    kh, kw       kernel            s    stride           g    groups
    up(n, m)     n rounded up to a multiple of m
    bytes        int8 feature maps in bricks of 16 channels: h w up(c, 16)
    M            multiply-accumulates a cycle of the accelerator (all units busy)
    live         bytes of all feature maps alive while the operator runs
    floor        cycles no implementation can beat: max(macs / M, bytes moved / 16)

An operator's cost depends on its place: whether its input is still close (made just before), whether its weights
could be fetched while its predecessor computed, whether all that lives fits the memory near the accelerator. So
the two operators before and the one behind it are features too. All sizes enter as log2(1 + n).
"""

from collections.abc import Sequence
from math import ceil, log2, prod

import numpy as np

from ..targets.lowering import HwOp
from .memory import fused_away, replay

__all__ = ["FEATURES", "KINDS", "features", "floor_cycles"]

KINDS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN",
    "CONCATENATION", "QUANTIZE", "PAD", "PADV2", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "HARD_SWISH", "LOGISTIC",
    "TANH", "RELU", "RELU6", "LEAKY_RELU", "SOFTMAX", "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SUM",
    "REDUCE_MAX", "BATCH_MATMUL", "GELU", "EXP", "ABS", "MAXIMUM", "MINIMUM",
)  # fmt: skip
_KIND = {kind: i for i, kind in enumerate(KINDS)}

FEATURES = (
    "kind", "act", "same", "kh", "kw", "sh", "sw", "dilation", "groups", "per_group_in", "per_group_out",
    "ih", "iw", "ic", "oh", "ow", "oc", "ic_mod8", "ic_mod16", "oc_mod8", "oc_mod16", "oh_mod2", "ow_mod2",
    "macs", "macs_even", "floor", "fill_in", "fill_out", "weight_bytes", "in_bytes", "in2_bytes", "out_bytes", "in2_broadcast",
    "live", "fits", "reuse", "reuse_bytes", "users", "distance", "distance2", "from_input", "to_output", "padded",
    "prev_kind", "prev_macs", "prev_floor", "prev_out_bytes", "prev_weight_bytes", "prev2_kind", "prev2_floor",
    "next_kind", "next_macs", "next_floor", "next_kh", "next_weight_bytes", "next_out_bytes",
    "input_kind", "input_users", "input_bytes_ratio", "weights_ahead",
)  # fmt: skip
CATEGORICAL = ("kind", "prev_kind", "prev2_kind", "next_kind", "input_kind")


def _up(n: int, m: int) -> int:
    return ceil(n / m) * m


def _hwc(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    return 1, 1, prod(shape[1:])


def _bytes(shape: Sequence[int]) -> int:
    h, w, c = _hwc(shape)
    return h * w * _up(c, 16)


def _even_macs(op: HwOp) -> int:
    """Multiply-accumulates with channels rounded up to 16, as an array of 16 lanes does them."""
    if op.weight is None:
        return op.elements
    h, w, c = _hwc(op.shape)
    if op.kind == "DEPTHWISE_CONV_2D":
        return h * w * _up(c, 16) * op.weight[1] * op.weight[2]
    inner = prod(op.weight[1:-1])
    return h * w * _up(c, 16) * inner * _up(op.weight[-1], 16)


def floor_cycles(op: HwOp, in_bytes: int, macs_per_cycle: int) -> float:
    """Cycles no implementation can beat."""
    return max(_even_macs(op) / macs_per_cycle, (in_bytes + _bytes(op.shape)) / 16, 1.0)


def features(ops: tuple[HwOp, ...], macs_per_cycle: int, near_bytes: int) -> np.ndarray:
    """float32[operators without inputs, FEATURES] for a lowered network.

    near_bytes: size of the memory near the accelerator the network may use.
    """
    made = {op.name: op for op in ops}
    users: dict[str, int] = {}
    for op in ops:
        for name in op.inputs:
            users[name] = users.get(name, 0) + 1
    run = [op for op in ops if op.kind != "INPUT"]
    gone = fused_away(ops)
    real = [op for op in run if op.name not in gone]
    place = {op.name: i for i, op in enumerate(real)}
    live = {step.op: step.live_bytes for step in replay(ops)}
    floors = {op.name: floor_cycles(op, _read(op, made), macs_per_cycle) for op in run}
    weights = {op.name: prod(op.weight) if op.weight else 0 for op in run}
    last: dict[str, int] = {}
    for i, op in enumerate(real):
        for name in op.inputs:
            last[_through(name, made, gone)] = i
    rows = []
    for op in run:
        i = place.get(op.name)
        at = i if i is not None else place.get(_user_of(op, run), 0)
        prev = real[at - 1] if at >= 1 else None
        prev2 = real[at - 2] if at >= 2 else None
        following = real[at + 1] if at + 1 < len(real) else None
        rows.append(
            _row(
                op,
                made,
                gone,
                users,
                place,
                at,
                floors,
                weights,
                live,
                near_bytes,
                prev,
                prev2,
                following,
                last,
                len(real),
            )
        )
    return np.asarray(rows, dtype=np.float32)


def _through(name: str, made: dict[str, HwOp], gone: frozenset[str]) -> str:
    while name in gone:
        name = made[name].inputs[0]
    return name


def _user_of(op: HwOp, run: Sequence[HwOp]) -> str:
    return next((other.name for other in run if op.name in other.inputs), "")


def _read(op: HwOp, made: dict[str, HwOp]) -> int:
    return sum(_bytes(made[name].shape) for name in op.inputs)


def _row(
    op: HwOp,
    made: dict[str, HwOp],
    gone: frozenset[str],
    users: dict[str, int],
    place: dict[str, int],
    at: int,
    floors: dict[str, float],
    weights: dict[str, int],
    live: dict[str, int],
    near: int,
    prev: HwOp | None,
    prev2: HwOp | None,
    following: HwOp | None,
    last: dict[str, int],
    total: int,
) -> list[float]:
    inputs = [_through(name, made, gone) for name in op.inputs]
    first = made[inputs[0]] if inputs else op
    second = made[inputs[1]] if len(inputs) > 1 else None
    ih, iw, ic = _hwc(first.shape)
    oh, ow, oc = _hwc(op.shape)
    in_bytes, out_bytes = _bytes(first.shape), _bytes(op.shape)
    in2 = sum(_bytes(made[name].shape) for name in inputs[1:])
    alive = live.get(op.name, in_bytes + in2 + out_bytes)
    groups = op.groups if op.weight is not None else 1

    def lg(n: float) -> float:
        return log2(1 + n)

    def kind(other: HwOp | None) -> float:
        return len(KINDS) + 1 if other is None else _KIND.get(other.kind, len(KINDS))

    distance = at - place.get(inputs[0], -1) if inputs else 0
    distance2 = at - place.get(inputs[1], -1) if second is not None else 0
    ahead = lg(weights[op.name] / (1 + floors[prev.name])) if prev is not None else lg(weights[op.name])
    return [
        _KIND.get(op.kind, len(KINDS)),
        ("NONE", "RELU", "RELU6").index(op.act),
        op.same,
        op.kernel[0],
        op.kernel[1],
        op.stride[0],
        op.stride[1],
        op.dilation[0],
        lg(groups),
        lg(ic // groups),
        lg(oc // groups),
        ih,
        iw,
        ic,
        oh,
        ow,
        oc,
        ic % 8,
        ic % 16,
        oc % 8,
        oc % 16,
        oh % 2,
        ow % 2,
        lg(op.macs),
        lg(_even_macs(op)),
        lg(floors[op.name]),
        ic / _up(ic, 16),
        oc / _up(oc, 16),
        lg(weights[op.name]),
        lg(in_bytes),
        lg(in2),
        lg(out_bytes),
        float(second is not None and second.elements < op.elements),
        lg(alive),
        alive / near,
        float(last.get(inputs[0], at) > at) if inputs else 0.0,
        (alive - in_bytes - in2 - out_bytes) / near,
        users.get(op.name, 0),
        min(distance, 64),
        min(distance2, 64),
        float(first.kind == "INPUT"),
        float(op.name not in users),
        float(bool(op.inputs) and op.inputs[0] in gone),
        kind(prev),
        lg(prev.macs) if prev else 0,
        lg(floors[prev.name]) if prev else 0,
        lg(_bytes(prev.shape)) if prev else 0,
        lg(weights[prev.name]) if prev else 0,
        kind(prev2),
        lg(floors[prev2.name]) if prev2 else 0,
        kind(following),
        lg(following.macs) if following else 0,
        lg(floors[following.name]) if following else 0,
        following.kernel[0] if following else 0,
        lg(weights[following.name]) if following else 0,
        lg(_bytes(following.shape)) if following else 0,
        kind(first),
        users.get(inputs[0], 0) if inputs else 0,
        in_bytes / near,
        ahead,
    ]
