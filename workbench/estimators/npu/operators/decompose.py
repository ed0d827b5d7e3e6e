"""Composite operators as the compiler puts them together of those the accelerator has.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a softmax is an exponential looked up, its sum, the sum's reciprocal by three steps of Newton's method on 32 bits,
  and a product
* a squared difference is computed on 32 bits, both inputs rescaled to one scale first
* a depthwise convolution with a depth multiplier is one for each output of a channel, and a TRANSPOSE
* a matrix product reads its second matrix transposed, see `transposes`
* a sum is taken over the first axis, a largest value over one axis after the other by max pools as long as the axis
* a RESHAPE of what others read too copies it for all of them, see `reshape_copies`

COMPOSITE are the kinds that attention and layer norms bring. New kinds: ASR, CLZ, SHL, REDUCE_SUM, LARGEST (of an
axis), MATMUL, MEMORY_COPY, TILE, STACK (parts written one after the other) and SWAP (a TRANSPOSE that is not merged
with the one before it). What is computed on 32 bits has `bits` 32.
"""

from collections.abc import Callable, Sequence
from math import prod

from ....hardware.lowering import HwOp
from .reshape_copies import with_reshape_copies
from .transposes import split_transposes

__all__ = ["COMPOSITE", "decompose"]

Shape = tuple[int, ...]

COMPOSITE = frozenset(["SOFTMAX", "SQUARED_DIFFERENCE", "BATCH_MATMUL", "SUM", "TRANSPOSE"])
_TRANSPOSED_MAX = 16  # columns from which the U85 transposes a feature map to find its largest values


def decompose(ops: Sequence[HwOp], family: str) -> tuple[tuple[HwOp, ...], dict[str, int]]:
    """The operators, and by name the number of the original operator that each is charged to (inputs not counted).

    family: "u55", "u65" or "u85".
    """
    decomposition = _Decomposition(family)
    number = 0
    for op in ops:
        decomposition.add(op, number if op.kind != "INPUT" else -1)
        number += op.kind != "INPUT"
    parts = decomposition.ops
    if any(op.kind in ("TRANSPOSE", "SWAP") for op in parts):
        parts = split_transposes(parts, family)
    return with_reshape_copies(parts, decomposition.numbers)


class _Decomposition:
    """The operators so far; composite, number: the original operator that is being decomposed."""

    def __init__(self, family: str) -> None:
        self.u85 = family == "u85"
        self.ops: list[HwOp] = []
        self.numbers: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        self.number = -1
        self.composite: HwOp
        self._rules: dict[str, Callable[[HwOp], None]] = {
            "SOFTMAX": self._softmax,
            "SQUARED_DIFFERENCE": self._squared_difference,
            "BATCH_MATMUL": self._matmul,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "SUM": self._sum,
            "REDUCE_MAX": self._max,
            "REDUCE_MIN": self._min,
        }

    def add(self, op: HwOp, number: int) -> None:
        self.composite, self.number = op, number
        self._rules.get(op.kind, self._append)(op)

    def _append(self, op: HwOp) -> None:
        self.ops.append(op)
        self.numbers[op.name] = self.number
        self.shapes[op.name] = op.shape

    def _part(
        self, part: str, kind: str, inputs: tuple[str, ...], shape: Shape, bits: int = 32,
        constant: str = "", kernel: tuple[int, int] = (1, 1), extra: Shape = (),
    ) -> str:  # fmt: skip
        """Append a part of the composite operator and give its name; part "" is the last one, which makes its output.

        constant: "first" or "second" where that operand is a constant scalar, "all" where the first is a whole constant
        feature map.
        """
        op = self.composite
        name = f"{op.name}/{part}" if part else op.name
        self._append(
            HwOp(
                name, kind, inputs, shape, op.sources, bits=bits, kernel=kernel,
                const=(("full" if constant == "all" else "scalar"), 0.0) if constant else None,
                const_first=constant in ("first", "all"), extra=extra,
                act=op.act if not part else "NONE",
            )
        )  # fmt: skip
        return name

    def _softmax(self, op: HwOp) -> None:
        rank, n = len(op.shape), op.shape[-1]
        rows = prod(op.shape[:-2]) if rank > 1 else 1
        columns = op.shape[-2] if rank > 1 else 1
        whole, single = (rows, columns, n), (rows, columns, 1)
        largest = self._softmax_max(op.inputs[0], whole)
        less = self._part("less", "SUB", (op.inputs[0], largest), whole)
        exp = self._part("exp", "EXP", (less,), whole)
        rescaled = self._part("rescaled", "ASR", (exp,), whole, constant="second")
        total = self._part("sum", "REDUCE_SUM", (rescaled,), single)
        headroom = self._part("room", "CLZ", (total,), single)
        shift = self._part("shift", "SUB", (headroom,), single, constant="first")
        left = self._part("left", "SUB", (headroom,), single, constant="second")
        half = self._part("half", "SHL", (total, left), single)
        reciprocal = self._reciprocal(half, single)
        x = self._part("scaled", "MUL", (exp, reciprocal), whole)
        if not self.u85:
            x = self._part("wide", "ADD", (x,), whole, constant="all")
        x = self._part("end", "ASR", (x, shift), whole, bits=8)
        self._part("", "RESHAPE", (x,), op.shape, bits=8)

    def _softmax_max(self, x: str, whole: tuple[int, int, int]) -> str:
        """The largest value of every row of x, by a max pool over it."""
        rows, columns, n = whole
        before_last = columns if columns > 1 else rows
        if self.u85 and rows * columns > 1 and before_last >= _TRANSPOSED_MAX:
            order = (2, 0, 1) if columns > 1 else (2, 1, 0)
            rest = whole[order[1]], whole[order[2]]
            x = self._part("turned", "TRANSPOSE", (x,), (n, *rest), bits=8, extra=order)
            x = self._part("max", "MAX_POOL_2D", (x,), (1, *rest), bits=8, kernel=(n, 1))
        else:
            x = self._part("flat", "RESHAPE", (x,), (rows * columns, n, 1), bits=8)
            x = self._part("max", "MAX_POOL_2D", (x,), (rows * columns, 1, 1), bits=8, kernel=(1, n))
        return self._part("max.column", "RESHAPE", (x,), (rows, columns, 1), bits=8)

    def _reciprocal(self, half: str, shape: Shape) -> str:
        """1 / half by three steps of Newton's method, x += x (1 - half x), from a linear start."""
        x = self._part("start.scaled", "MUL", (half,), shape, constant="second")
        x = self._part("start", "ADD", (x,), shape, constant="second")
        for k in range(3):
            y = self._part(f"{k}.product", "MUL", (x, half), shape)
            y = self._part(f"{k}.error", "SUB", (y,), shape, constant="first")
            y = self._part(f"{k}.change", "MUL", (x, y), shape)
            y = self._part(f"{k}.scaled", "MUL", (y,), shape, constant="second")
            x = self._part(f"{k}", "ADD", (x, y), shape)
        return x

    def _squared_difference(self, op: HwOp) -> None:
        rescaled = []
        for side, name in zip(("left", "right"), op.inputs, strict=True):
            shape = self.shapes[name]
            wide = self._part(f"{side}.wide", "MEMORY_COPY", (name,), shape)
            rescaled.append(self._part(side, "MUL", (wide,), shape, constant="second"))
        x = self._part("less", "SUB", tuple(rescaled), op.shape)
        x = self._part("square", "MUL", (x, x), op.shape)
        if not self.u85 and len(op.shape) < 4:
            x = self._part("added", "ADD", (x,), op.shape, constant="all")
        self._part("", "MUL", (x,), op.shape, bits=8, constant="second")

    def _matmul(self, op: HwOp) -> None:
        names = list(op.inputs)
        if len(names) < 2:  # one matrix is constant, repeated for the whole batch
            shape = (prod(op.shape[:-2]), *op.extra[-2:])
            tile = HwOp(f"{op.name}/tile", "TILE", (), shape, op.sources, const=("value", ""), extra=op.extra)
            self._append(tile)
            names.insert(0 if op.const_first else 1, tile.name)
        batch = prod(op.shape[:-2])
        for side, name in enumerate(names):
            shape = self.shapes[name]
            if prod(shape[:-2]) < batch:  # the same for the whole batch
                tile = HwOp(f"{op.name}/tile{side}", "TILE", (name,), (batch, *shape[-2:]), op.sources, extra=shape)
                self._append(tile)
                names[side] = tile.name
        left, right = names
        rows, columns = self.shapes[right][-2:]
        transposed = (1, batch, columns, rows)
        right = self._part("turned", "TRANSPOSE", (right,), transposed, bits=8, extra=(0, 1, 3, 2))
        self._part("", "MATMUL", (left, right), op.shape, bits=8)

    def _sum(self, op: HwOp) -> None:
        """Over an axis transposed to be the last, less the zero point; on the U55 and U65 a convolution with ones.

        Of several axes the compiler's figures have the first one alone.
        """
        x, shape, axis = op.inputs[0], self.shapes[op.inputs[0]], op.extra[1]
        n, outer, inner = shape[axis], prod(shape[:axis]), prod(shape[axis + 1 :])
        sums = (prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1, 1)
        if axis < len(shape) - 1:
            folded = self._part("folded", "RESHAPE", (x,), (outer, n, inner), bits=8)
            x = self._part("turned", "SWAP", (folded,), (outer, inner, n), bits=8, extra=(0, 2, 1))
            sums = (outer, inner, 1)
        if self.u85:
            x = self._part("sum", "REDUCE_SUM", (x,), sums)
            x = self._part("less", "SUB", (x,), sums, bits=8, constant="second")
        else:
            ones = HwOp(f"{op.name}/ones", "CONV_2D", (x,), (1, *sums), op.sources, weight=(1, 1, 1, n))
            self._append(ones)
            x = ones.name
        self._part("", "RESHAPE", (x,), op.shape, bits=8)

    def _max(self, op: HwOp) -> None:
        self._part("", "RESHAPE", (self._largest(op, op.inputs[0]),), op.shape, bits=8)

    def _min(self, op: HwOp) -> None:
        """On the U55 and U65, axis by axis, the largest of what mirrors the input, mirrored."""
        if self.u85:
            self._max(op)
            return
        x = op.inputs[0]
        for axis in op.extra[1:]:
            shape = self.shapes[x]
            is_last = axis == op.extra[-1]
            rest = op.shape if is_last else tuple(1 if d == axis else n for d, n in enumerate(shape))
            x = self._part(f"{axis}.mirrored", "SUB", (x,), shape, bits=8, constant="first")
            largest = self._largest(op._replace(extra=(int(not is_last), axis)), x)
            x = self._part(f"{axis}.least", "RESHAPE", (largest,), rest, bits=8)
            x = self._part(f"{axis}", "SUB", (x,), rest, bits=8, constant="first")
        self._part("", "RESHAPE", (x,), op.shape, bits=8)

    def _largest(self, op: HwOp, x: str) -> str:
        """Over one axis after the other, which is read as columns (on the U85 rows stay rows)."""
        shape = self.shapes[x]
        for k, axis in enumerate(op.extra[1:]):
            n, outer, inner = shape[axis], prod(shape[:axis]), prod(shape[axis + 1 :])
            kernel, pooled = (1, n), (outer, 1, inner)
            if axis == len(shape) - 3 and outer == 1 and self.u85:
                kernel, pooled = (n, 1), (1, shape[-2], shape[-1])
            folded = (pooled[0] * kernel[0], pooled[1] * kernel[1], pooled[2])
            x = self._part(f"{axis}.folded", "RESHAPE", (x,), folded, bits=8)
            if k == len(op.extra) - 2 and not op.extra[0]:  # the last axis, where axes are dropped
                kept = [1, *(size for size in shape[:-1] if size > 1)]
                pooled = (prod(kept[:-1]), kept[-1], 1) if axis == len(shape) - 1 else (1, outer, inner)
            x = self._part(f"{axis}.max", "LARGEST", (x,), pooled, bits=8, kernel=kernel)
            shape = tuple(1 if k == axis else size for k, size in enumerate(shape))
        return x

    def _depthwise(self, op: HwOp) -> None:
        """With a depth multiplier: a convolution for each output of a channel, stacked in memory and transposed."""
        channels = (1, *self.shapes[op.inputs[0]])[-1]
        multiplier = op.shape[-1] // channels
        if multiplier < 2 or op.weight is None:
            self._append(op)
            return
        height, width = op.shape[1:3]
        shape, weight = (1, height, width, channels), (*op.weight[:-1], channels)
        names = []
        for k in range(multiplier):
            names.append(f"{op.name}/part{k}")
            self._append(op._replace(name=names[-1], shape=shape, weight=weight, act="NONE"))
        stacked = self._part("parts", "STACK", tuple(names), (multiplier, height, width, channels), bits=8)
        self._part("", "TRANSPOSE", (stacked,), op.shape, bits=8, extra=(1, 2, 3, 0))
