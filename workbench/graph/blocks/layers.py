"""A graph's operators numbered, and which of them are layers of a main path, squeezed features or part of the head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..kinds import POOLS_2D
from ..op import Op
from ..structure import Structure

__all__ = ["Layers", "number_layers"]

_LETTERS = {"conv_transpose2d": "t", "conv1d": "c", "linear": "l", "matmul": "a", "attention": "a"}
_POOLING = POOLS_2D | {"mean", "amax", "amin", "sum"}


@dataclass(frozen=True)
class Layers:
    """Facts of every operator but inputs, by its index in execution order.

    shapes: of every tensor. reads: the indices of what it reads, -1 for a network's input, parameters left out.
    squeezed: whether its output holds one value a channel. letters: as blocks are told by them, "" for what is no
    layer of a main path. head: whether it works on squeezed features all the way to the output. channels_last: of
    each tensor, whether its channels stand last.
    """

    ops: Sequence[Op]
    shapes: Mapping[str, tuple[int, ...]]
    reads: Sequence[Sequence[int]]
    squeezed: Sequence[bool]
    letters: Sequence[str]
    head: Sequence[bool]
    channels_last: Mapping[str, bool]


def number_layers(graph: Structure) -> Layers:
    """The facts of a graph's operators."""
    ops = [op for op in graph.ops if op.kind != "input"]
    index = {op.name: i for i, op in enumerate(ops)}
    shapes = {op.name: op.shape for op in graph.ops}
    reads: list[list[int]] = []
    for op in ops:
        sources = (index.get(name, -1) for name in op.inputs)
        reads.append([i for i in sources if i < 0 or ops[i].kind != "param"])
    squeezed = _squeezed(ops, reads, shapes)
    letters = ["" if is_squeezed else _letter(op) for op, is_squeezed in zip(ops, squeezed, strict=True)]
    return Layers(ops, shapes, reads, squeezed, letters, _head(ops, index, squeezed), _channels_last(ops))


def _squeezed(ops: Sequence[Op], reads: Sequence[Sequence[int]], shapes: Mapping[str, tuple[int, ...]]) -> list[bool]:
    """Which tensors hold one value a channel: globally pooled, flattened, or computed from such only."""
    squeezed: list[bool] = []
    for op, sources in zip(ops, reads, strict=True):
        if op.kind == "param" or op.kind == "resize":
            squeezed.append(False)
        elif len(op.shape) <= 2 or (sources and all(i >= 0 and squeezed[i] for i in sources)):
            squeezed.append(True)
        else:
            squeezed.append(op.kind in _POOLING and _leaves_one_value(op, shapes[op.inputs[0]]))
    return squeezed


def _leaves_one_value(op: Op, read: tuple[int, ...]) -> bool:
    """Is one value a channel left? (Of a 1x1 map too, where the operator can do nothing else.)"""
    return op.elements in read[1:] and (prod(read) > op.elements or op.kind in ("mean", "amax", "amin"))


def _letter(op: Op) -> str:
    if op.kind == "conv2d":
        return "d" if op.is_depthwise else "p" if op["kernel"] == (1, 1) else "k"
    return _LETTERS.get(op.kind, "")


def _head(ops: Sequence[Op], index: Mapping[str, int], squeezed: Sequence[bool]) -> list[bool]:
    """What works on squeezed features all the way to the output."""
    head = list(squeezed)
    users: list[list[int]] = [[] for _ in ops]
    for i in range(len(ops) - 1, -1, -1):
        op = ops[i]
        if op.kind == "param":
            head[i] = bool(users[i])
        head[i] = head[i] and all(head[user] for user in users[i])
        for name in op.inputs:
            if name in index:
                users[index[name]].append(i)
    return head


def _channels_last(ops: Sequence[Op]) -> dict[str, bool]:
    """Which four-dimensional tensors have their channels last."""
    last: dict[str, bool] = {}
    for op in ops:
        if op.kind == "permute" and op["axes"] in ((0, 2, 3, 1), (0, 3, 1, 2)):
            last[op.name] = op["axes"] == (0, 2, 3, 1)
        else:
            last[op.name] = op.kind == "linear" or (op.kind != "conv2d" and last.get(next(iter(op.inputs), ""), False))
    return last
