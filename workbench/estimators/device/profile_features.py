"""Features of lowered operators that tell how much faster or slower they run than expected.

channels, sizes, elements     natural logarithms
all others                    0 or 1
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...hardware.lowering import HwOp
from .operator_work import OperatorWork

__all__ = ["FEATURES", "contexts", "features"]

FEATURES = (
    "channels read", "channels made, rounded up", "read unaligned", "made unaligned", "rounding", "height", "width",
    "kernel", "stride", "groups", "elements read", "elements alive", "activated", "added to", "activated after",
    "behind a layer", "reordered after", "channels of a group", "group unaligned", "read uneven",
)  # fmt: skip
_VECTOR, _ALIGNED = 16, 4  # channels a wide register holds, and those that are read at a time
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_LATE = ("HARD_SWISH", "LEAKY_RELU", "LOGISTIC")  # activations that a runtime may do with the layer before
_REORDERS = ("RESHAPE", "TRANSPOSE", "CONCATENATION")


def features(ops: Sequence[HwOp], work: OperatorWork) -> np.ndarray:
    """[operators, FEATURES] of a network's lowered operators, inputs left out."""
    run = [op for op in ops if op.kind != "INPUT"]
    at_least_1 = {name: np.maximum(work[name], 1) for name in ("cin", "cout", "height", "width", "kernel", "stride")}
    cin, cout, groups = at_least_1["cin"], at_least_1["cout"], np.maximum(work["groups"], 1)
    rounded = np.ceil(cout / _VECTOR) * _VECTOR
    logs = {name: np.log(value) for name, value in at_least_1.items()}
    return np.column_stack(
        [
            logs["cin"], np.log(rounded), cin % _ALIGNED != 0, cout % _ALIGNED != 0, np.log(rounded / cout),
            logs["height"], logs["width"], logs["kernel"], logs["stride"], np.log(groups), np.log1p(work["inputs"]),
            np.log1p(work["live"]), [op.act != "NONE" for op in run], *_neighbours(run),
            np.log(np.maximum(cout / groups, 1)), (cout / groups) % _VECTOR != 0, cin % _VECTOR != 0,
        ]
    ).astype(float)  # fmt: skip


def _neighbours(run: Sequence[HwOp]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every operator: added to, activated after, behind a layer, reordered after."""
    index = {op.name: i for i, op in enumerate(run)}
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(run):
        for name in op.inputs:
            readers.setdefault(name, []).append(i)
    added, after, behind, reordered = (np.zeros(len(run)) for _ in range(4))
    for i, op in enumerate(run):
        if op.kind == "ADD" and op.const is None:
            sums = [index[name] for name in op.inputs if name in index and len(readers[name]) == 1]
            layers = [k for k in sums if run[k].kind in _LAYERS and run[k].act == "NONE"]
            if layers:
                added[layers[-1]] = 1
        next_ = [run[k].kind for k in readers.get(op.name, ())]
        after[i] = len(next_) == 1 and next_[0] in _LATE
        reordered[i] = any(kind in _REORDERS for kind in next_)
        behind[i] = bool(op.inputs) and op.inputs[0] in index and run[index[op.inputs[0]]].kind in _LAYERS
    return added, after, behind, reordered


def contexts(ops: Sequence[HwOp]) -> list[str]:
    """Every operator's kind and what it reads, "ADD RELU < CONV_2D! CONV_2D+RELU" (!: nothing else reads that)."""
    by_name = {op.name: op for op in ops}
    readers = Counter(name for op in ops for name in op.inputs)

    def text(name: str) -> str:
        source = by_name[name]
        return source.kind + ("" if source.act == "NONE" else f"+{source.act}") + ("!" if readers[name] == 1 else "")

    return [
        f"{op.kind} {op.act} < {' '.join(sorted(text(name) for name in op.inputs)[:2])}"
        for op in ops
        if op.kind != "INPUT"
    ]
