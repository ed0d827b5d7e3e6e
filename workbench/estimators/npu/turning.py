"""TRANSPOSEs as what an accelerator does at once: one order of the axes of a map of rank three after the other.

Rules, read off the compiler (Ethos-U Vela 5.2):

* one that follows another that nobody else reads is one with it; axes of length one do not matter
* an order that cannot be had at once is made by swapping axes until each is in its place; to swap two of more than
  three, they are brought to the front and the end, swapped, and brought back
"""

from collections.abc import Sequence
from math import prod

from ...hardware.lowering import HwOp
from .layout import hwc

__all__ = ["swaps", "turned"]

Shape = tuple[int, ...]
Swap = tuple[Shape, tuple[int, int, int]]  # a map of rank three, and the order its axes get

_AT_ONCE = {  # orders of (rows, columns, channels)
    "u85": {(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)},
    "u55": {(1, 0, 2), (0, 2, 1), (2, 1, 0)},
}


def swaps(shape: Shape, order: Shape, family: str) -> tuple[Swap, ...]:
    """The maps of rank three that are turned one after the other, to give the axes of `shape` the given order.

    >>> swaps((14, 14, 192), (2, 0, 1), "u85")
    (((14, 14, 192), (2, 0, 1)),)
    >>> swaps((14, 14, 192), (2, 0, 1), "u65")
    (((14, 14, 192), (2, 1, 0)), ((192, 14, 14), (0, 2, 1)))
    """
    native = _AT_ONCE["u85" if family == "u85" else "u55"]
    lead = len(shape) - 3
    if lead <= 0:
        shape = (1,) * -lead + tuple(shape)
        order = (*range(-lead), *(a - lead for a in order))
        lead = 0
    inner = tuple(a - lead for a in order[lead:])
    if prod(shape[:lead]) == 1 and tuple(order[:lead]) == tuple(range(lead)) and inner in native:
        return (_rank3(shape[lead:], inner),)
    where = [0] * len(order)
    for position, axis in enumerate(order):
        where[axis] = position
    found: list[Swap] = []
    for axis in range(len(order)):
        at = where.index(axis)
        if at != axis:
            shape = _swapped(found, shape, axis, at)
            where[axis], where[at] = where[at], where[axis]
    return tuple(found)


def _rank3(shape: Shape, order: Shape) -> Swap:
    h, w, c = shape
    a, b, d = order
    return (h, w, c), (a, b, d)


def _swapped(found: list[Swap], shape: Shape, a: int, b: int) -> Shape:
    """Swap two axes, a before b; the shape then."""
    last = len(shape) - 1
    if last < 3 or (a >= last - 2 and prod(shape[:-3]) == 1):
        lead = last - 2
        order = [0, 1, 2]
        order[a - lead], order[b - lead] = order[b - lead], order[a - lead]
        found.append(_rank3(shape[lead:], tuple(order)))
    elif (a, b) == (0, 1):
        _swapped(found, (shape[0], shape[1], prod(shape[2:])), 0, 1)
    elif (a, b) == (last - 1, last):
        _swapped(found, (prod(shape[:-2]), shape[-2], shape[-1]), 1, 2)
    elif a != 0:  # to the front, and back after the swap
        _swapped(found, (prod(shape[:a]), shape[a], prod(shape[a + 1 :])), 0, 1)
        shape = (shape[a], *shape[:a], *shape[a + 1 :])
        shape = _swapped(found, shape, 0, b)
        _swapped(found, (shape[0], prod(shape[1 : a + 1]), prod(shape[a + 1 :])), 0, 1)
        return (*shape[1 : a + 1], shape[0], *shape[a + 1 :])
    elif b != last:  # to the end, and back after the swap
        _swapped(found, (prod(shape[:b]), shape[b], prod(shape[b + 1 :])), 1, 2)
        shape = (*shape[:b], *shape[b + 1 :], shape[b])
        shape = _swapped(found, shape, 0, last)
        _swapped(found, (prod(shape[:b]), prod(shape[b:-1]), shape[-1]), 1, 2)
        return (*shape[:b], shape[-1], *shape[b:-1])
    else:
        _swapped(found, (shape[0], prod(shape[1:-1]), shape[-1]), 0, 2)
    new = list(shape)
    new[a], new[b] = new[b], new[a]
    return tuple(new)


def turned(ops: Sequence[HwOp], family: str) -> list[HwOp]:
    """The operators, with TRANSPOSEs as what is done at once, each of a map folded to rank three first.

    family: "u55", "u65" or "u85".
    """
    made = {op.name: op for op in ops}
    readers: dict[str, int] = {}
    for op in ops:
        for name in op.inputs:
            readers[name] = readers.get(name, 0) + 1
    done: dict[str, HwOp] = {}
    gone: set[str] = set()
    for op in ops:
        if op.kind == "TRANSPOSE":
            folded = made[op.inputs[0]]
            if folded.kind == "RESHAPE" and readers[folded.name] == 1:  # ones put in or left out do not matter
                source = made[folded.inputs[0]].shape
                if _longer(source) == _longer(folded.shape):
                    gone.add(folded.name)
                    op = op._replace(inputs=folded.inputs, extra=_among(source, _wide(op.extra, folded.shape)))
            before, between = op.inputs[0], []
            while made[before].kind == "RESHAPE" and readers[before] == 1:
                between.append(before)
                before = made[before].inputs[0]
            first = done.get(before)
            given = made[op.inputs[0]].shape
            fits = made[before].shape == (*[1] * (len(op.extra) - len(given)), *given)
            if first is not None and first.kind == "TRANSPOSE" and readers[before] == 1 and fits:
                order = _composed(first, op)
                if order is not None:
                    gone.update([first.name, *between])
                    shape = made[first.inputs[0]].shape
                    op = op._replace(inputs=first.inputs, extra=order)
                    if all(a < b for a, b in zip(_wide(order, shape), _wide(order, shape)[1:], strict=False)):
                        op = op._replace(kind="RESHAPE", extra=())
        done[op.name] = op
    found = []
    for op in done.values():
        if op.name in gone:
            continue
        if op.kind == "TRANSPOSE":
            found += _turned(op, made[op.inputs[0]].shape, family)
        else:
            found.append(op)
    return found


def _composed(first: HwOp, second: HwOp) -> Shape | None:
    """The order both together give the first one's axes; None where they fold these differently."""
    a, b = tuple(first.extra), tuple(second.extra)
    if len(a) > len(b):
        b = (*range(len(a) - len(b)), *(axis + len(a) - len(b) for axis in b))
    if len(a) != len(b):
        return None
    return tuple(a[axis] for axis in b)


def _longer(shape: Shape) -> list[int]:
    """The axes longer than one."""
    return [n for n in shape if n > 1]


def _among(shape: Shape, order: list[int]) -> Shape:
    """The order of all axes that gives those longer than one the order `order` (of any numbers), ones first."""
    rank = {axis: k for k, axis in enumerate(sorted(order))}
    ones = [k for k, n in enumerate(shape) if n == 1]
    longer = [k for k, n in enumerate(shape) if n > 1]
    return (*ones, *(longer[rank[axis]] for axis in order))


def _wide(order: Shape, shape: Shape) -> list[int]:
    """Of an order the axes longer than one."""
    full = (*[1] * (len(order) - len(shape)), *shape)
    return [axis for axis in order if full[axis] > 1]


def _turned(op: HwOp, shape: Shape, family: str) -> list[HwOp]:
    """The swaps a TRANSPOSE is made of; every map folded to rank three first."""
    order = tuple(op.extra)
    if len(order) == 3 < len(shape):
        shape = hwc(shape)
    shape = (*[1] * (len(order) - len(shape)), *shape)
    found: list[HwOp] = []
    source = op.inputs[0]
    steps = swaps(shape, order, family)
    for k, (whole, turn) in enumerate(steps):
        folded = f"{op.name}/{k}.folded"
        found.append(HwOp(folded, "RESHAPE", (source,), whole, op.sources))
        source = f"{op.name}/{k}"
        made = tuple(whole[i] for i in turn)
        found.append(HwOp(source, "TRANSPOSE", (folded,), made, op.sources, extra=turn))
    if not found:
        return [op._replace(kind="RESHAPE", extra=())]
    return [*found, HwOp(op.name, "RESHAPE", (source,), op.shape, op.sources)]
