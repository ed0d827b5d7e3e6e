"""What the regressors see of an operator inside its network.

The analytic model (`npu`) says what every operator costs and why; the trees learn what it misses, so every feature
describes the operator or is a part of that answer. Sizes and cycles enter as log2(1 + n).

    modelled    cycles by the analytic model           compute     of them the multipliers and the output stage
    near, far   cycles of the memories                 constants   of the one weights are stored in
    passes      operations it becomes                  before, after   `modelled` of its neighbours
"""

from collections.abc import Mapping, Sequence
from math import log2, prod

import numpy as np

from ..targets.lowering import HwOp
from .npu.machine import Machine
from .npu.network import Analysis, PassCycles
from .npu.passes import Pass

__all__ = ["CATEGORICAL", "FEATURES", "KINDS", "features"]

KINDS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN",
    "CONCATENATION", "QUANTIZE", "PAD", "PADV2", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "HARD_SWISH", "LOGISTIC",
    "TANH", "RELU", "RELU6", "LEAKY_RELU", "SOFTMAX", "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SUM",
    "REDUCE_MAX", "BATCH_MATMUL", "GELU", "EXP", "ABS", "MAXIMUM", "MINIMUM",
)  # fmt: skip
_KIND = {kind: i for i, kind in enumerate(KINDS)}
FEATURES = (
    "kind", "act", "modelled", "compute", "near", "far", "constants", "passes", "cascaded", "slices", "ahead", "bricks",
    "kh", "kw", "sh", "sw", "groups", "ic", "oh", "ow", "oc", "ic_mod16", "oc_mod16", "macs", "weights", "broadcast",
    "before", "after",
)  # fmt: skip
CATEGORICAL = ("kind",)


def features(ops: tuple[HwOp, ...], passes: Sequence[Pass], analysis: Analysis, machine: Machine) -> np.ndarray:
    """float32[operators without inputs, FEATURES] for a lowered network, its passes and what they cost."""
    run = [op for op in ops if op.kind != "INPUT"]
    made = {op.name: op for op in ops}
    of: dict[int, list[tuple[Pass, PassCycles]]] = {}
    order: list[int] = []
    for pass_, cost in zip(passes, analysis.passes, strict=True):
        number = pass_.sources[0]
        if number not in of:
            order.append(number)
        of.setdefault(number, []).append((pass_, cost))
    modelled = {i: sum(cost.cycles for _, cost in parts) for i, parts in of.items()}
    place = {number: k for k, number in enumerate(order)}
    rows = []
    for i, op in enumerate(run):
        k = place.get(i)
        beside = [
            modelled[order[j]] if k is not None and 0 <= j < len(order) else 0 for j in ((k or 0) - 1, (k or 0) + 1)
        ]
        rows.append(_row(op, made, of.get(i, []), beside, machine))
    return np.asarray(rows, dtype=np.float32).reshape(-1, len(FEATURES))


def _lg(n: float) -> float:
    return log2(1 + n)


def _hwc(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    return (1, shape[1], shape[2]) if len(shape) == 3 else (1, 1, prod(shape[1:]))


def _row(
    op: HwOp,
    made: Mapping[str, HwOp],
    parts: Sequence[tuple[Pass, PassCycles]],
    beside: Sequence[int],
    machine: Machine,
) -> list[float]:
    def memory(name: str) -> int:
        return sum(cost.access.get(name, 0) for _, cost in parts)

    ic = _hwc(made[op.inputs[0]].shape)[2] if op.inputs else 0
    oh, ow, oc = _hwc(op.shape)
    groups = op.groups if op.weight is not None else 1
    first = parts[0][0] if parts else None
    return [
        _KIND.get(op.kind, len(KINDS)),
        ("NONE", "RELU", "RELU6").index(op.act),
        _lg(sum(cost.cycles for _, cost in parts)),
        _lg(sum(cost.compute for _, cost in parts)),
        _lg(memory(machine.near.name)),
        _lg(memory(machine.far.name)),
        _lg(memory(machine.constants.name)),
        _lg(len(parts)),
        float(any(cost.cascaded for _, cost in parts)),
        max((cost.slices for _, cost in parts), default=0),
        float(any(cost.ahead for _, cost in parts)),
        float(first.ifm.bricks + 2 * first.ofm.bricks) if first else 4.0,
        op.kernel[0],
        op.kernel[1],
        op.stride[0],
        op.stride[1],
        _lg(groups),
        ic // groups,
        oh,
        ow,
        oc // groups,
        ic // groups % 16,
        oc // groups % 16,
        _lg(op.macs),
        _lg(prod(op.weight) if op.weight else 0),
        float(len(op.inputs) > 1 and made[op.inputs[1]].elements < op.elements),
        _lg(beside[0]),
        _lg(beside[1]),
    ]
