"""Peak activation memory by replaying what lives when.

Operators run in their order. A feature map takes h w c bytes (int8), rounded up to 16, from the operator that
makes it to the last one that reads it. The rules that make the replay the compiler's:

* a PAD before a convolution or pool is done while reading: it has no tensor of its own;
* an elementwise operator writes over an input of the same size that nobody reads afterwards;
* the parts of a concatenation nobody else reads are written straight into the whole, so they are views of it;
* so is what a padding for a max pool reads;
* a reshape is its input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..targets.lowering import HwOp

__all__ = ["Step", "fused_away", "peak_bytes", "replay"]

_ROUNDING = 16
_IN_PLACE = frozenset(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "RELU", "RELU6", "LEAKY_RELU", "ABS"])
_PADDED = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"])


@dataclass(frozen=True)
class Step:
    """One operator's moment: bytes alive while it runs (inputs and output included) and the tensors they are."""

    op: str
    live_bytes: int
    tensors: tuple[str, ...]


def fused_away(ops: Sequence[HwOp]) -> frozenset[str]:
    """Operators the hardware does while it does another one: padding done on reading, reshapes that move nothing."""
    users: dict[str, list[HwOp]] = {}
    for op in ops:
        for name in op.inputs:
            users.setdefault(name, []).append(op)
    padding = {
        op.name
        for op in ops
        if op.kind == "PAD" and users.get(op.name) and all(u.kind in _PADDED for u in users[op.name])
    }
    return frozenset(padding | {op.name for op in ops if op.kind == "RESHAPE"})


def replay(ops: Sequence[HwOp]) -> tuple[Step, ...]:
    """What lives at every step, in execution order."""
    made = {op.name: op for op in ops}
    gone = fused_away(ops)
    home = _homes(ops, made, gone)
    run = [op for op in ops if op.kind != "INPUT" and op.name not in gone]
    size: dict[str, int] = {}
    for op in ops:
        if op.name not in gone:
            size[home[op.name]] = max(size.get(home[op.name], 0), _size(made[home[op.name]]))
    first: dict[str, int] = {home[op.name]: 0 for op in ops if op.kind == "INPUT"}
    last: dict[str, int] = dict(first)
    for step, op in enumerate(run):
        for name in (*op.inputs, op.name):
            first.setdefault(home[name], step)
            last[home[name]] = step
    read = {name for op in ops for name in op.inputs}
    for op in run:
        if op.name not in read:
            last[home[op.name]] = len(run) - 1
    steps = []
    for step, op in enumerate(run):
        alive = tuple(name for name in first if first[name] <= step <= last[name])
        steps.append(Step(op.name, sum(size[name] for name in alive), alive))
    return tuple(steps)


def peak_bytes(ops: Sequence[HwOp]) -> int:
    """The most bytes alive at any step."""
    return max((step.live_bytes for step in replay(ops)), default=0)


def _size(op: HwOp) -> int:
    return -(-op.elements // _ROUNDING) * _ROUNDING


def _homes(ops: Sequence[HwOp], made: dict[str, HwOp], gone: frozenset[str]) -> dict[str, str]:
    """Tensor -> the tensor whose memory it lives in."""
    home = {op.name: op.name for op in ops}

    def find(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    order = {op.name: i for i, op in enumerate(ops)}
    last: dict[str, int] = {}
    readers: dict[str, int] = {}
    for op in ops:
        for name in set(op.inputs):
            last[name] = order[op.name]
            readers[name] = readers.get(name, 0) + 1
    for op in ops:
        if op.name in gone:
            home[op.name] = find(op.inputs[0])
            last[op.inputs[0]] = max(last.get(op.inputs[0], 0), last.get(op.name, 0))
    for op in ops:
        if op.kind == "CONCATENATION":
            for name in dict.fromkeys(op.inputs):
                root = find(name)
                if root == name and made[name].kind not in ("INPUT", "CONCATENATION") and readers[name] == 1:
                    home[name] = op.name
        elif op.kind == "PADV2" and readers[op.inputs[0]] == 1 and home[op.inputs[0]] == op.inputs[0]:
            home[op.inputs[0]] = op.name
        elif op.kind in _IN_PLACE:
            for name in op.inputs:
                root = find(name)
                dies = last.get(name) == order[op.name] and made[name].kind != "INPUT"
                if dies and root == name and made[name].elements == op.elements:
                    home[op.name] = root
                    break
    return {name: find(name) for name in home}
