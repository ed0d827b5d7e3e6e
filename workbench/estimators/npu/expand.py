"""Operators an accelerator has no single operation for, as the compiler puts them together of those it has.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a softmax is an exponential looked up, its sum, the sum's reciprocal by three steps of Newton's method on 32 bits,
  and a product
* a squared difference is computed on 32 bits, both inputs brought to one scale first
* a depthwise convolution with several outputs a channel is one for each of them, and a TRANSPOSE
* a product of matrices reads its second one turned, see `turning.py`
* a RESHAPE of what others read too copies it for all of them, if the shape changes

COMPOSED are the kinds that attention and layer norms bring. New kinds: ASR, CLZ, SHL, REDUCE_SUM, MATMUL, MEMORY_COPY,
TILE and STACK (parts written one after the other). What is computed on 32 bits has `bits` 32.
"""

from collections.abc import Callable, Sequence
from math import prod

from ...hardware.lowering import HwOp
from .turning import turned

__all__ = ["COMPOSED", "expand"]

Shape = tuple[int, ...]

COMPOSED = frozenset(["SOFTMAX", "SQUARED_DIFFERENCE", "BATCH_MATMUL", "SUM", "TRANSPOSE"])
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
    made = found.ops
    if any(op.kind == "TRANSPOSE" for op in made):
        made = turned(made, family)
    return _copied(made, found.numbers)


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
        rule = self.rules.get(op.kind)
        if rule is None:
            self._keep(op)
        else:
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
        "all" where the first is a whole map.
        """
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
        x = step("end", "ASR", x, shift, shape=whole, bits=8)
        self._step(op, "", "RESHAPE", (x,), op.shape, bits=8)

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
        batch = prod(op.shape[:-2])
        for side, name in enumerate(names):
            own = self.shapes[name]
            if prod(own[:-2]) < batch:  # the same for the whole batch
                tile = HwOp(f"{op.name}/tile{side}", "TILE", (name,), (batch, *own[-2:]), op.sources, extra=own)
                self._keep(tile)
                names[side] = tile.name
        left, right = names
        rows, columns = self.shapes[right][-2:]
        turned = self._step(op, "turned", "TRANSPOSE", (right,), (1, batch, columns, rows), bits=8, extra=(0, 1, 3, 2))
        self._step(op, "", "MATMUL", (left, turned), op.shape, bits=8)

    def _sum(self, op: HwOp) -> None:
        """Over one axis after the other, turned to be the last; each time less the zero point. The U55 and U65 do both
        as a convolution with ones.
        """
        x, shape = op.inputs[0], self.shapes[op.inputs[0]]
        for k, axis in enumerate(op.extra[1:]):
            n, outer, inner = shape[axis], prod(shape[:axis]), prod(shape[axis + 1 :])
            if axis < len(shape) - 1:
                folded = self._step(op, f"{k}.folded", "RESHAPE", (x,), (outer, n, inner), bits=8)
                x = self._step(op, f"{k}.turned", "TRANSPOSE", (folded,), (outer, inner, n), bits=8, extra=(0, 2, 1))
                lines = (outer, inner, 1)
            else:
                lines = (prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1, 1)
            if self.u85:
                x = self._step(op, f"{k}.sum", "REDUCE_SUM", (x,), lines)
                x = self._step(op, f"{k}.less", "SUB", (x,), lines, bits=8, constant="second")
            else:
                ones = HwOp(f"{op.name}/{k}.ones", "CONV_2D", (x,), (1, *lines), op.sources, weight=(1, 1, 1, n))
                self._keep(ones)
                x = ones.name
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
            part = op._replace(
                name=f"{op.name}/part{k}", shape=(1, h, w, channels), weight=(*op.weight[:-1], channels), act="NONE"
            )
            self._keep(part)
            parts.append(part.name)
        whole = (times, h, w, channels)
        joined = self._step(op, "parts", "STACK", tuple(parts), whole, bits=8)
        self._step(op, "", "TRANSPOSE", (joined,), op.shape, bits=8, extra=(1, 2, 3, 0))


def _copied(ops: Sequence[HwOp], numbers: dict[str, int]) -> tuple[tuple[HwOp, ...], dict[str, int]]:
    """Copies before reshapes of what others read too, one after the other where there are several."""
    for op in ops:
        if op.name not in numbers:
            numbers[op.name] = numbers[op.name.rpartition("/")[0]]
    reshapes = [op for op in ops if op.kind == "RESHAPE" and "/" not in op.name]
    if not reshapes:
        return tuple(ops), numbers
    made = {op.name: op for op in ops}
    readers: dict[str, set[str]] = {op.inputs[0]: set() for op in reshapes}
    for op in ops:
        for name in op.inputs:
            if name in readers:
                readers[name].add(op.name)
    copies: dict[str, list[HwOp]] = {}
    for op in reshapes:
        if len(readers[op.inputs[0]]) > 1:
            source = made[op.inputs[0]]
            before = copies.get(source.name, [])
            now = before[-1] if before else source
            if source.kind != "INPUT" and now.shape != op.shape:
                # the next reshape finds the shape that this one gave the copy
                name = f"{source.name}/copy{len(before)}"
                copy = HwOp(name, "MEMORY_COPY", (now.name,), op.shape, op.sources, bits=source.bits)
                copies.setdefault(source.name, []).append(copy)
                numbers[name] = numbers[op.name]
    if not copies:
        return tuple(ops), numbers
    found: list[HwOp] = []
    for op in ops:
        taken = tuple(copies[name][-1].name if name in copies else name for name in op.inputs)
        found.append(op._replace(inputs=taken) if taken != op.inputs else op)
        for copy in copies.get(op.name, ()):
            found.append(copy._replace(shape=op.shape))
    return tuple(found), numbers
