"""Operators an accelerator has no single operation for, as the compiler puts them together of those it has.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a softmax is an exponential looked up, its sum, the sum's reciprocal by three steps of Newton's method on 32 bits,
  and a product
* a squared difference is computed on 32 bits, both inputs brought to one scale first
* a depthwise convolution with several outputs a channel is one for each of them, and a TRANSPOSE
* a product of matrices reads its second one turned; a TRANSPOSE that turns it, too, undoes that
* a TRANSPOSE the accelerator has no way to do at once becomes swaps of two axes of maps folded to rank three
* a RESHAPE of what others read too copies it for all of them, if the shape changes

New kinds: ASR, CLZ, SHL, REDUCE_SUM, MATMUL, MEMORY_COPY. What is computed on 32 bits has `bits` 32.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from ...targets.lowering import HwOp

__all__ = ["expand", "swaps"]

Shape = tuple[int, ...]
Swap = tuple[Shape, tuple[int, int, int]]  # a map of rank three, and the order its axes get

_STRAIGHT = {  # permutations of (rows, columns, channels) done at once
    "u85": {(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)},
    "u55": {(1, 0, 2), (0, 2, 1), (2, 1, 0)},
}
_BY_COLUMNS = 16  # channels from which the U85 turns a map to find its largest values


def expand(ops: Sequence[HwOp], family: str) -> tuple[tuple[HwOp, ...], dict[str, int]]:
    """The operators, and the number of the given one that each is charged to (inputs not counted).

    family: "u55", "u65" or "u85".
    """
    found = _Expansion(family)
    number = 0
    for op in ops:
        found.number = number if op.kind != "INPUT" else -1
        number += op.kind != "INPUT"
        found.add(op)
    return _copied(_merged(found.ops, family), found.numbers)


class _Expansion:
    def __init__(self, family: str) -> None:
        self.u85 = family == "u85"
        self.ops: list[HwOp] = []
        self.numbers: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        self.number = -1
        rules: dict[str, Callable[[HwOp], None]] = {
            "SOFTMAX": self._softmax,
            "SQUARED_DIFFERENCE": self._squared_difference,
            "BATCH_MATMUL": self._matmul,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "SUM": self._sum,
        }
        self.rules = rules

    def add(self, op: HwOp) -> None:
        rule = self.rules.get(op.kind, self._keep)
        rule(op)

    def _keep(self, op: HwOp) -> None:
        self.ops.append(op)
        self.numbers[op.name] = self.number
        self.shapes[op.name] = op.shape

    def _step(
        self, op: HwOp, part: str, kind: str, inputs: tuple[str, ...], shape: Shape, bits: int = 32,
        constant: str = "", kernel: tuple[int, int] = (1, 1), extra: Shape = (),
    ) -> str:  # fmt: skip
        """An operator for a part of `op` (the end of it, without a name); constant: "", which operand is a scalar, or
        "all" where the first is a whole map."""
        made = HwOp(
            f"{op.name}/{part}" if part else op.name, kind, inputs, shape, op.sources, bits=bits, kernel=kernel,
            const=(("full" if constant == "all" else "scalar"), 0.0) if constant else None,
            const_first=constant in ("first", "all"), extra=extra,
            act=op.act if not part else "NONE",
        )  # fmt: skip
        self._keep(made)
        return made.name

    def _softmax(self, op: HwOp) -> None:
        x, rank, n = op.inputs[0], len(op.shape), op.shape[-1]
        rows = prod(op.shape[:-2]) if rank > 1 else 1
        columns = op.shape[-2] if rank > 1 else 1
        whole, one = (rows, columns, n), (rows, columns, 1)

        def step(part: str, kind: str, *inputs: str, shape: Shape = one, bits: int = 32, constant: str = "") -> str:
            return self._step(op, part, kind, inputs, shape, bits, constant)

        behind = columns if columns > 1 else rows
        if self.u85 and rows * columns > 1 and behind >= _BY_COLUMNS:
            order = (2, 0, 1) if columns > 1 else (2, 1, 0)
            turned = self._step(
                op, "turned", "TRANSPOSE", (x,), (n, *(whole[i] for i in order[1:])), bits=8, extra=order
            )
            top = self._step(
                op, "max", "MAX_POOL_2D", (turned,), (1, *(whole[i] for i in order[1:])), bits=8, kernel=(n, 1)
            )
        else:
            flat = self._step(op, "flat", "RESHAPE", (x,), (rows * columns, n, 1), bits=8)
            top = self._step(op, "max", "MAX_POOL_2D", (flat,), (rows * columns, 1, 1), bits=8, kernel=(1, n))
        top = self._step(op, "max.column", "RESHAPE", (top,), one, bits=8)
        less = step("less", "SUB", x, top, shape=whole)
        exp = step("exp", "EXP", less, shape=whole)
        rescaled = step("rescaled", "ASR", exp, shape=whole, constant="second")
        total = step("sum", "REDUCE_SUM", rescaled)
        room = step("room", "CLZ", total)
        shift = step("shift", "SUB", room, constant="first")
        left = step("left", "SUB", room, constant="second")
        half = step("half", "SHL", total, left)
        x = step("start.scaled", "MUL", half, constant="second")
        x = step("start", "ADD", x, constant="second")
        for k in range(3):
            y = step(f"{k}.product", "MUL", x, half)
            y = step(f"{k}.error", "SUB", y, constant="first")
            y = step(f"{k}.change", "MUL", x, y)
            y = step(f"{k}.scaled", "MUL", y, constant="second")
            x = step(f"{k}", "ADD", x, y)
        x = step("scaled", "MUL", exp, x, shape=whole)
        if not self.u85:
            x = step("wide", "ADD", x, shape=whole, constant="all")
        self._step(op, "", "ASR", (x, shift), op.shape, bits=8)

    def _squared_difference(self, op: HwOp) -> None:
        scaled = []
        for side, name in zip(("left", "right"), op.inputs, strict=True):
            shape = self.shapes[name]
            wide = self._step(op, f"{side}.wide", "MEMORY_COPY", (name,), shape)
            scaled.append(self._step(op, side, "MUL", (wide,), shape, constant="second"))
        x = self._step(op, "less", "SUB", tuple(scaled), op.shape)
        x = self._step(op, "square", "MUL", (x, x), op.shape)
        if not self.u85 and len(op.shape) < 4:
            x = self._step(op, "added", "ADD", (x,), op.shape, constant="all")
        self._step(op, "", "MUL", (x,), op.shape, bits=8, constant="second")

    def _matmul(self, op: HwOp) -> None:
        names = list(op.inputs)
        if len(names) < 2:  # one matrix is constant, repeated for the whole batch
            shape = (prod(op.shape[:-2]), *op.extra[-2:])
            tile = HwOp(f"{op.name}/tile", "TILE", (), shape, op.sources, const=("value", ""), extra=op.extra)
            self._keep(tile)
            names.insert(0 if op.const_first else 1, tile.name)
        left, right = names
        *batch, rows, columns = self.shapes[right]
        turned = self._step(op, "turned", "TRANSPOSE", (right,), (prod(batch), columns, rows), bits=8, extra=(0, 2, 1))
        self._step(op, "", "MATMUL", (left, turned), op.shape, bits=8)


    def _sum(self, op: HwOp) -> None:
        """Over one axis after the other, turned to be the last; each time less the zero point."""
        x, shape = op.inputs[0], self.shapes[op.inputs[0]]
        for k, axis in enumerate(op.extra[1:]):
            n, outer, inner = shape[axis], prod(shape[:axis]), prod(shape[axis + 1 :])
            if axis < len(shape) - 1:
                folded = self._step(op, f"{k}.folded", "RESHAPE", (x,), (outer, n, inner), bits=8)
                x = self._step(op, f"{k}.turned", "TRANSPOSE", (folded,), (outer, inner, n), bits=8, extra=(0, 2, 1))
                lines = (outer, inner, 1)
            else:
                lines = (prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1, 1)
            x = self._step(op, f"{k}.sum", "REDUCE_SUM", (x,), lines)
            x = self._step(op, f"{k}.less", "SUB", (x,), lines, bits=8, constant="second")
            shape = tuple(1 if at == axis else size for at, size in enumerate(shape))
        self._step(op, "", "RESHAPE", (x,), op.shape, bits=8)

    def _depthwise(self, op: HwOp) -> None:
        """With several outputs a channel: a pass for each, one after the other in memory, and turned."""
        *_, h, w, channels = (1, *self.shapes[op.inputs[0]])
        times = op.shape[-1] // channels
        if times < 2 or op.weight is None:
            self._keep(op)
            return
        h, w = op.shape[1:3]
        parts = []
        for k in range(times):
            part = replace(
                op, name=f"{op.name}/part{k}", shape=(1, h, w, channels), weight=(*op.weight[:-1], channels), act="NONE"
            )
            self._keep(part)
            parts.append(part.name)
        whole = (times, h, w, channels)
        joined = self._step(op, "parts", "CONCATENATION", tuple(parts), whole, bits=8, extra=(0,))
        self._step(op, "", "TRANSPOSE", (joined,), op.shape, bits=8, extra=(1, 2, 3, 0))


# ---- turning ------------------------------------------------------------------------------------------------------


def swaps(shape: Shape, order: Shape, family: str) -> tuple[Swap, ...]:
    """The maps of rank three that are turned one after the other, to give the axes of `shape` the given order.

    >>> swaps((14, 14, 192), (2, 0, 1), "u85")
    (((14, 14, 192), (2, 0, 1)),)
    >>> swaps((14, 14, 192), (2, 0, 1), "u65")
    (((14, 14, 192), (2, 1, 0)), ((192, 14, 14), (0, 2, 1)))
    """
    native = _STRAIGHT["u85" if family == "u85" else "u55"]
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


def _merged(ops: Sequence[HwOp], family: str) -> list[HwOp]:
    """TRANSPOSE of a TRANSPOSE in one (none, where the second undoes the first), each then in swaps done at once."""
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
                    op = replace(op, inputs=folded.inputs, extra=_among(source, _wide(op.extra, folded.shape)))
            before, between = op.inputs[0], []
            while made[before].kind == "RESHAPE" and readers[before] == 1:
                between.append(before)
                before = made[before].inputs[0]
            first = done.get(before)
            fits = _of_rank4(made[before].shape) == _of_rank4(made[op.inputs[0]].shape)
            if first is not None and first.kind == "TRANSPOSE" and readers[before] == 1 and fits:
                order = _composed(first, op)
                if order is not None:
                    gone.update([first.name, *between])
                    shape = made[first.inputs[0]].shape
                    op = replace(op, inputs=first.inputs, extra=order)
                    if all(a < b for a, b in zip(_wide(order, shape), _wide(order, shape)[1:], strict=False)):
                        op = replace(op, kind="RESHAPE", extra=())
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


def _of_rank4(shape: Shape) -> Shape:
    return (*[1] * (4 - len(shape)), *shape)


def _plain(shape: Shape) -> Shape:
    """Rows, columns, channels."""
    return (prod(shape[:-2]), *shape[-2:]) if len(shape) > 1 else (1, 1, *shape)


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
    if len(shape) != len(order):
        shape = _plain(shape) if len(order) == 3 else shape
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
        return [replace(op, kind="RESHAPE", extra=())]
    return [*found, HwOp(op.name, "RESHAPE", (source,), op.shape, op.sources)]


def _copied(ops: Sequence[HwOp], numbers: dict[str, int]) -> tuple[tuple[HwOp, ...], dict[str, int]]:
    """Copies before reshapes of what others read too."""
    made = {op.name: op for op in ops}
    readers: dict[str, set[str]] = {}
    for op in ops:
        for name in op.inputs:
            readers.setdefault(name, set()).add(op.name)
    copies: dict[str, HwOp] = {}
    for op in ops:
        if op.kind == "RESHAPE" and "/" not in op.name and len(readers[op.inputs[0]]) > 1 and op.inputs[0] not in copies:
            source = made[op.inputs[0]]
            if source.shape != op.shape and source.kind != "INPUT":
                copy = HwOp(
                    f"{source.name}/copy", "MEMORY_COPY", (source.name,), source.shape, op.sources, bits=source.bits
                )
                copies[source.name] = copy
                numbers[copy.name] = numbers[op.name]
    found: list[HwOp] = []
    for op in ops:
        if op.name not in numbers:
            numbers[op.name] = numbers[op.name.rpartition("/")[0]]
        taken = tuple(copies[name].name if name in copies else name for name in op.inputs)
        found.append(replace(op, inputs=taken) if taken != op.inputs else op)
        if op.name in copies:
            found.append(copies[op.name])
    return tuple(found), numbers
