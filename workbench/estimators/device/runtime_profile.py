"""Times of a runtime's nodes, assigned to a network's lowered operators.

A runtime runs its own version of the network: several operators as one node, nodes of its own in between that bring
maps into the order it prefers. Every node's time is assigned to the operator whose work it does:

* a node named after an operator, or what is fused into it, is that operator's
* a convolution that was given the name of what it adds or activates on the way is the convolution's
* a node of the runtime's own belongs to the one that runs next
"""

from collections.abc import Sequence

import numpy as np

from ...hardware.lowering import HwOp

__all__ = ["Node", "operator_times"]

Node = tuple[str, str, float]  # (operator of the graph, the runtime's name for its kind, milliseconds), as they run
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_DEEPEST = 4  # operators between a convolution and what it does on the way
_LEAST_SHARE = 0.7  # of the time, in nodes named after an operator


def operator_times(ops: Sequence[HwOp], nodes: Sequence[Node]) -> np.ndarray | None:
    """Milliseconds of every operator but inputs, 0 for what runs as part of another.

    None where more than 30 % of the time is in nodes that no operator is named after.

    >>> x = HwOp("x", "INPUT", (), (1, 8, 8, 3), ("x",))
    >>> conv = HwOp("conv", "CONV_2D", ("x",), (1, 8, 8, 16), ("conv",))
    >>> act = HwOp("act", "HARD_SWISH", ("conv",), (1, 8, 8, 16), ("act",))
    >>> operator_times([x, conv, act], [("reorder", "Reorder", 0.5), ("act", "Conv", 2.0)])
    array([2.5, 0. ])
    """
    run = [op for op in ops if op.kind != "INPUT"]
    number = {op.name: i for i, op in enumerate(run)}
    of: dict[str, list[int]] = {}
    for i, op in enumerate(run):
        for source in op.sources:
            of.setdefault(source, []).append(i)
    spent = np.zeros(len(run))
    waiting = strange = 0.0
    last = -1
    for name, kind, ms in nodes:
        source, _, part = name.partition(".")
        operators = of.get(name) or of.get(source)
        if operators is None:
            waiting += ms
            strange += ms
            continue
        i = operators[0] if part else operators[-1]
        if "Conv" in kind and run[i].kind not in _CONVOLUTIONS:
            i = _convolution(run, number, i)
        spent[i] += ms + waiting
        waiting, last = 0.0, i
    if last < 0 or strange > (1 - _LEAST_SHARE) * (spent.sum() + waiting):
        return None
    spent[last] += waiting
    return spent


def _convolution(run: Sequence[HwOp], number: dict[str, int], i: int) -> int:
    """The latest convolution that makes what operator i reads; i where there is none near."""
    reached = [i]
    for _ in range(_DEEPEST):
        reached = [number[name] for k in reached for name in run[k].inputs if name in number]
        convolutions = [k for k in reached if run[k].kind in _CONVOLUTIONS]
        if convolutions:
            return max(convolutions)
    return i
