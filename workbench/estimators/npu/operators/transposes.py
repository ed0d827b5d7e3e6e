"""TRANSPOSEs as what an accelerator does at once: permutations of the axes of feature maps of rank three.

Rules, read off the compiler (Ethos-U Vela 5.2):

* one that follows another that nobody else reads is merged with it; axes of length one do not matter
* an order that cannot be had at once is made by swapping axes until each is in its place; to swap two of more than
  three, they are brought to the front and the end, swapped, and brought back
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from ....hardware.lowering import HwOp
from .shapes import hwc

__all__ = ["permutations", "split_transposes"]

Shape = tuple[int, ...]
Permutation = tuple[Shape, tuple[int, int, int]]  # a shape of rank three, and the order its axes get

_AT_ONCE = {  # orders of (rows, columns, channels)
    "u85": {(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)},
    "u55": {(1, 0, 2), (0, 2, 1), (2, 1, 0)},
    "u65": {(1, 0, 2), (0, 2, 1), (2, 1, 0)},
}


def permutations(shape: Shape, order: Shape, family: str) -> tuple[Permutation, ...]:
    """The permutations of rank three that, one after the other, give the axes of `shape` the given order.

    family: "u55", "u65" or "u85".

    >>> permutations((14, 14, 192), (2, 0, 1), "u85")
    (((14, 14, 192), (2, 0, 1)),)
    >>> permutations((14, 14, 192), (2, 0, 1), "u65")
    (((14, 14, 192), (2, 1, 0)), ((192, 14, 14), (0, 2, 1)))
    """
    lead = len(shape) - 3
    if lead <= 0:
        shape = (1,) * -lead + tuple(shape)
        order = (*range(-lead), *(axis - lead for axis in order))
        lead = 0
    inner = tuple(axis - lead for axis in order[lead:])
    if prod(shape[:lead]) == 1 and tuple(order[:lead]) == tuple(range(lead)) and inner in _AT_ONCE[family]:
        return (_rank3(shape[lead:], inner),)
    steps: list[Permutation] = []
    positions = [order.index(axis) for axis in range(len(order))]  # where every axis belongs
    for axis in range(len(order)):
        swapped = positions.index(axis)
        if swapped != axis:
            shape = _swap(steps, shape, axis, swapped)
            positions[axis], positions[swapped] = positions[swapped], positions[axis]
    return tuple(steps)


def _rank3(shape: Shape, order: Shape) -> Permutation:
    rows, columns, channels = shape
    first, second, third = order
    return (rows, columns, channels), (first, second, third)


def _swap(steps: list[Permutation], shape: Shape, a: int, b: int) -> Shape:
    """Append the permutations that swap axes a and b, a before b; gives the shape then."""
    last = len(shape) - 1
    if last < 3 or (a >= last - 2 and prod(shape[:-3]) == 1):
        lead = last - 2
        order = [0, 1, 2]
        order[a - lead], order[b - lead] = order[b - lead], order[a - lead]
        steps.append(_rank3(shape[lead:], tuple(order)))
    elif (a, b) == (0, 1):
        _swap(steps, (shape[0], shape[1], prod(shape[2:])), 0, 1)
    elif (a, b) == (last - 1, last):
        _swap(steps, (prod(shape[:-2]), shape[-2], shape[-1]), 1, 2)
    elif a != 0:  # to the front, and back after the swap
        _swap(steps, (prod(shape[:a]), shape[a], prod(shape[a + 1 :])), 0, 1)
        shape = (shape[a], *shape[:a], *shape[a + 1 :])
        shape = _swap(steps, shape, 0, b)
        _swap(steps, (shape[0], prod(shape[1 : a + 1]), prod(shape[a + 1 :])), 0, 1)
        return (*shape[1 : a + 1], shape[0], *shape[a + 1 :])
    elif b != last:  # to the end, and back after the swap
        _swap(steps, (prod(shape[:b]), shape[b], prod(shape[b + 1 :])), 1, 2)
        shape = (*shape[:b], *shape[b + 1 :], shape[b])
        shape = _swap(steps, shape, 0, last)
        _swap(steps, (prod(shape[:b]), prod(shape[b:-1]), shape[-1]), 1, 2)
        return (*shape[:b], shape[-1], *shape[b:-1])
    else:
        _swap(steps, (shape[0], prod(shape[1:-1]), shape[-1]), 0, 2)
    new_shape = list(shape)
    new_shape[a], new_shape[b] = new_shape[b], new_shape[a]
    return tuple(new_shape)


class _Sources(NamedTuple):
    """Operators by the tensor they produce, and how many operators read each tensor."""

    producers: Mapping[str, HwOp]
    readers: Mapping[str, int]

    def read_by_reshape_alone(self, name: str) -> bool:
        """Whether a tensor is a RESHAPE's with one reader."""
        return self.producers[name].kind == "RESHAPE" and self.readers[name] == 1


def split_transposes(ops: Sequence[HwOp], family: str) -> list[HwOp]:
    """The operators with every TRANSPOSE as permutations done at once, each of a tensor reshaped to rank three.

    family: "u55", "u65" or "u85".
    """
    readers: dict[str, int] = {}
    for op in ops:
        for name in op.inputs:
            readers[name] = readers.get(name, 0) + 1
    sources = _Sources({op.name: op for op in ops}, readers)
    merged: dict[str, HwOp] = {}
    removed: set[str] = set()
    for op in ops:
        if op.kind in ("TRANSPOSE", "SWAP"):
            op = _without_reshape(op, sources, removed)
        if op.kind == "TRANSPOSE":
            op = _merge(op, sources, merged, removed)
        merged[op.name] = op
    split = []
    for op in merged.values():
        if op.name in removed:
            continue
        if op.kind in ("TRANSPOSE", "SWAP"):
            split += _permuted(op, sources.producers[op.inputs[0]].shape, family)
        else:
            split.append(op)
    return split


def _without_reshape(op: HwOp, sources: _Sources, removed: set[str]) -> HwOp:
    """The TRANSPOSE of what a RESHAPE before it, which only adds or drops axes of length one, reads."""
    reshape = sources.producers[op.inputs[0]]
    if sources.read_by_reshape_alone(reshape.name):
        shape = sources.producers[reshape.inputs[0]].shape
        if _longer_than_one(shape) == _longer_than_one(reshape.shape):
            removed.add(reshape.name)
            return op._replace(inputs=reshape.inputs, extra=_full_order(shape, _long_axes(op.extra, reshape.shape)))
    return op


def _merge(op: HwOp, sources: _Sources, merged: Mapping[str, HwOp], removed: set[str]) -> HwOp:
    """The TRANSPOSE together with the one before it that nobody else reads; a RESHAPE where both cancel out."""
    producers = sources.producers
    name, between = op.inputs[0], []
    while sources.read_by_reshape_alone(name):
        between.append(name)
        name = producers[name].inputs[0]
    first = merged.get(name)
    shape = producers[op.inputs[0]].shape
    same_shape = producers[name].shape == (*[1] * (len(op.extra) - len(shape)), *shape)
    if first is None or first.kind != "TRANSPOSE" or sources.readers[name] != 1 or not same_shape:
        return op
    order = _composed_order(first, op)
    if order is None:
        return op
    removed.update([first.name, *between])
    long_axes = _long_axes(order, producers[first.inputs[0]].shape)
    if all(a < b for a, b in pairwise(long_axes)):
        return op._replace(kind="RESHAPE", inputs=first.inputs, extra=())
    return op._replace(inputs=first.inputs, extra=order)


def _composed_order(first: HwOp, second: HwOp) -> Shape | None:
    """The order both together give the first one's axes; None where the second has fewer than the first reads."""
    a, b = tuple(first.extra), tuple(second.extra)
    if len(a) > len(b):
        b = (*range(len(a) - len(b)), *(axis + len(a) - len(b) for axis in b))
    if len(a) != len(b):
        return None
    return tuple(a[axis] for axis in b)


def _longer_than_one(shape: Shape) -> list[int]:
    """The lengths above one."""
    return [n for n in shape if n > 1]


def _long_axes(order: Shape, shape: Shape) -> list[int]:
    """The axes of an order that are longer than one."""
    full = (*[1] * (len(order) - len(shape)), *shape)
    return [axis for axis in order if full[axis] > 1]


def _full_order(shape: Shape, long_axes: list[int]) -> Shape:
    """The order of all axes, those of length one first, that gives the longer ones the order of `long_axes` (which may
    count other axes between them).
    """
    rank = {axis: k for k, axis in enumerate(sorted(long_axes))}
    ones = [k for k, n in enumerate(shape) if n == 1]
    longer = [k for k, n in enumerate(shape) if n > 1]
    return (*ones, *(longer[rank[axis]] for axis in long_axes))


def _permuted(op: HwOp, shape: Shape, family: str) -> list[HwOp]:
    """The permutations a TRANSPOSE of a tensor of `shape` is made of, each of a tensor reshaped to rank three."""
    order = tuple(op.extra)
    if len(order) == 3 < len(shape):
        shape = hwc(shape)
    shape = (*[1] * (len(order) - len(shape)), *shape)
    parts: list[HwOp] = []
    source = op.inputs[0]
    for k, (folded_shape, permutation) in enumerate(permutations(shape, order, family)):
        folded = f"{op.name}/{k}.folded"
        parts.append(HwOp(folded, "RESHAPE", (source,), folded_shape, op.sources))
        source = f"{op.name}/{k}"
        permuted = tuple(folded_shape[axis] for axis in permutation)
        parts.append(HwOp(source, "TRANSPOSE", (folded,), permuted, op.sources, extra=permutation))
    if not parts:
        return [op._replace(kind="RESHAPE", extra=())]
    return [*parts, HwOp(op.name, "RESHAPE", (source,), op.shape, op.sources)]
