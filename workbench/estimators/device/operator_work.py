"""The work of every operator of a network, in numbers that matter on any machine.

One row per operator of the lowered network (batch norms folded, activations fused, paddings explicit); nothing in
a row belongs to one device.

    macs      multiply-accumulates              cin, cout  channels read and made (cin: those one output reads)
    inputs    elements read, weights left out   outputs    elements made            weights  elements
    height, width  of what is made              kernel     kernel height x width    stride   elements skipped
    groups    of a convolution (1 elsewhere; a depthwise one counts as one group)
    live      elements of feature maps alive while it runs, its own included
    before    multiply-accumulates of the operator in front of it: what could hide a fetch
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ...graph import Graph
from ...hardware.lowering import HwOp, lower

__all__ = ["CLASSES", "COLUMNS", "OperatorWork", "work_of"]

# what costs alike: the work of a class has rates of its own in the model
CLASSES = (
    "stem", "conv", "pointwise", "grouped", "depthwise", "fully", "product", "pool", "reduce", "add", "mul", "gate",
    "affine", "scalar", "activation", "sigmoid", "concat", "pad", "move", "other",
)  # fmt: skip
COLUMNS = (
    "macs", "cin", "cout", "inputs", "outputs", "weights", "height", "width", "kernel", "stride", "groups", "live",
    "before",
)  # fmt: skip
_FEW = 4  # channels of an image: a convolution that reads no more is a case of its own everywhere
_CLASS = {
    "FULLY_CONNECTED": "fully", "ADD": "add", "SUB": "add", "MUL": "mul", "MAXIMUM": "add", "MINIMUM": "add",
    "RELU": "activation", "RELU6": "activation", "HARD_SWISH": "activation", "LEAKY_RELU": "activation",
    "ABS": "activation", "LOGISTIC": "sigmoid", "TANH": "sigmoid", "GELU": "activation", "EXP": "sigmoid",
    "MAX_POOL_2D": "pool", "AVERAGE_POOL_2D": "pool", "MEAN": "reduce", "SUM": "reduce", "REDUCE_MAX": "reduce",
    "REDUCE_MIN": "reduce",
    "CONCATENATION": "concat", "PAD": "pad", "PADV2": "pad", "SLICE": "move", "STRIDED_SLICE": "move",
    "TRANSPOSE": "move", "RESHAPE": "move", "RESIZE_BILINEAR": "move", "RESIZE_NEAREST_NEIGHBOR": "move",
    "BATCH_MATMUL": "product", "SOFTMAX": "sigmoid",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class OperatorWork:
    """kind: index into CLASSES. table: one row per operator, columns as COLUMNS. sources: graph operators charged."""

    kind: np.ndarray
    table: np.ndarray
    sources: tuple[str, ...]

    def __getitem__(self, column: str) -> np.ndarray:
        return self.table[:, COLUMNS.index(column)]

    def charged(self, amounts: Iterable[float]) -> dict[str, float]:
        """Graph operator -> the sum of what its operators are charged, one amount an operator of the table."""
        charges: dict[str, float] = {}
        for name, amount in zip(self.sources, amounts, strict=True):
            charges[name] = charges.get(name, 0.0) + float(amount)
        return charges


def work_of(graph: Graph) -> OperatorWork:
    """The work of every operator, in execution order.

    >>> from workbench.estimators.random_networks import sample
    >>> graph = sample(0)
    >>> bool(work_of(graph)["macs"].sum() >= graph.macs)  # the taps of pools count here
    True
    """
    ops = lower(graph)
    run = [op for op in ops if op.kind != "INPUT"]
    by_name = {op.name: op for op in ops}
    live = _live_elements(ops)
    rows, kinds, before = [], [], 0.0
    for op in run:
        reads = [by_name[name] for name in op.inputs]
        kind = _class_of(op, reads)
        row = _row(op, kind, reads, live[op.name], before)
        rows.append(row)
        kinds.append(CLASSES.index(kind))
        before = row[0]
    table = np.array(rows, dtype=float).reshape(len(run), len(COLUMNS))
    return OperatorWork(np.array(kinds, dtype=int), table, tuple(op.sources[0] for op in run))


def _row(op: HwOp, kind: str, reads: Sequence[HwOp], live: int, before: float) -> tuple[float, ...]:
    """The columns of one operator. reads: operators whose results it reads."""
    macs = op.macs or (op.elements * reads[0].shape[-1] if op.kind == "BATCH_MATMUL" else 0)
    # taps of a pooling window or a reduction stand where a convolution has multiply-accumulates
    if kind == "pool":
        macs = op.elements * prod(op.kernel)
    if kind == "reduce":
        macs = sum(r.elements for r in reads)
    cin = reads[0].shape[-1] if reads else op.shape[-1]
    if op.weight is not None and len(op.weight) == 4:
        cin = op.weight[3]
    if kind == "depthwise":
        cin = 1
    inputs = sum(r.elements for r in reads)
    return (
        macs, cin, op.shape[-1], inputs, op.elements, prod(op.weight) if op.weight else 0,
        *_plane(op), prod(op.kernel), max(op.stride), op.groups if kind == "grouped" else 1,
        max(live, inputs + op.elements),
        before,
    )  # fmt: skip


def _class_of(op: HwOp, reads: Sequence[HwOp]) -> str:
    if op.kind == "CONV_2D":
        if op.groups > 1:
            return "grouped"
        if op.weight is not None and op.weight[3] <= _FEW:
            return "stem"
        return "pointwise" if op.kernel == (1, 1) else "conv"
    name = "depthwise" if op.kind == "DEPTHWISE_CONV_2D" else _CLASS.get(op.kind, "other")
    if name in ("add", "mul") and (len(reads) < 2 or reads[0].shape != reads[1].shape):
        # a map by a computed value per channel, by a single constant, by a constant per channel
        is_scalar = op.const is not None and (op.const[0] == "scalar" or op.extra == (1,))
        return "gate" if len(reads) > 1 else "scalar" if is_scalar else "affine"
    return name


def _plane(op: HwOp) -> tuple[int, int]:
    inner = op.shape[1:-1]
    return (inner[0], prod(inner[1:])) if inner else (1, 1)


def _live_elements(ops: Sequence[HwOp]) -> dict[str, int]:
    """Elements alive while each operator runs; every map has a place of its own."""
    last = {op.name: len(ops) for op in ops}
    last.update({name: i for i, op in enumerate(ops) for name in op.inputs})
    ends: list[int] = [0] * (len(ops) + 2)
    alive, live = 0, {}
    for i, op in enumerate(ops):
        alive += op.elements - ends[i]
        ends[last[op.name] + 1] += op.elements
        live[op.name] = alive
    return live
