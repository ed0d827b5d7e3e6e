"""The lowered network in the making: what the rules read and write.

Tensors of rank four stand channels last (a "map") unless they are `plain`, in torch's own order; tensors of any other
rank are always in torch's order.
"""

from collections.abc import Callable, Mapping

from ...graph import Graph, Op
from ...graph.kinds import ARITHMETIC, PRODUCTS
from .hw_operator import HwOp, Shape

__all__ = ["ROW", "Lowering", "Rule", "last"]

ROW = ".row"  # ends the name of an elementwise operator's row, whose line has the name before it

_FUSED = {"relu": "RELU", "relu6": "RELU6"}


def last(shape: Shape) -> Shape:
    """Channels last, for maps (rank 4)."""
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


def _between_ones(op: Op) -> bool:
    return op.kind == "clamp" and (op["low"], op["high"]) == (-1, 1)


def _is_alike(op: HwOp) -> bool:
    """Whether an elementwise operator does the same to all elements, or the same to all of a channel."""
    return op.const is None or op.const[0] in ("scalar", "alpha") or (op.const[0] == "weight" and not op.extra)


class Lowering:
    """One pass over a graph.

    ops: deployed operators by name, so far. tensor_of: graph tensor -> deployed tensor. plain: rank-4 graph tensors
    in torch's own order. absorbed: graph operators that became part of another one and need no rule. equal: names of
    operators without weights, by all that they compute.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.consumers = graph.consumers
        self.outputs = frozenset(graph.outputs)
        self.ops: dict[str, HwOp] = {}
        self.tensor_of: dict[str, str] = {}
        self.plain: set[str] = set()
        self.absorbed: set[str] = set()
        self.equal: dict[HwOp, str] = {}

    def run(self, rules: "Mapping[str, Rule]") -> tuple[HwOp, ...]:
        """Lower every operator; a rule that does not cover one says so by returning False."""
        for op in self.graph.ops:
            if op.name in self.absorbed or op.kind == "param":
                continue
            rule = rules.get(op.kind)
            constant = op.kind not in _CONSTANTS and not self.tensor_of.keys() >= set(op.inputs)
            if rule is None or constant or rule(self, op) is False:
                inputs = tuple(self.tensor_of[i] for i in op.inputs if i in self.tensor_of)
                missing = HwOp(op.name, f"UNSUPPORTED:{op.kind}", inputs, last(op.shape), (op.name,))
                self.plain.discard(op.name)
                self.finish(op, self.emit(missing))
        return self._needed()

    def _needed(self) -> tuple[HwOp, ...]:
        """The operators that the outputs depend on.

        The others are branches that lead nowhere, and changes of shape or order that a later one took over.
        """
        needed = {self.tensor_of[name] for name in self.graph.outputs if name in self.tensor_of}
        kept = []
        for op in reversed(self.ops.values()):
            if op.name in needed or op.kind == "INPUT":
                needed.update(op.inputs)
                kept.append(op)
        return tuple(reversed(kept))

    # ---- tensors ------------------------------------------------------------------------------------------------

    def emit(self, op: HwOp) -> str:
        """The tensor that the operator makes; an equal operator's where there is one: the converter merges them."""
        if op.weight is None and op.inputs and op.kind != "QUANTIZE" and not op.kind.startswith("UNSUPPORTED"):
            key = op._replace(name="", sources=())
            equal = self.ops.get(self.equal.setdefault(key, op.name))
            if equal is not None:
                sources = tuple(dict.fromkeys((*equal.sources, *op.sources)))
                self.ops[equal.name] = equal._replace(sources=sources)
                return equal.name
        self.ops[op.name] = op
        return op.name

    def step(self, op: Op, part: str, kind: str, inputs: tuple[str, ...], shape: Shape, **more: object) -> str:
        """Emit one of the operators that `op` becomes; the part "" makes the tensor of `op` itself.

        Of lines that were turned from rows, elementwise operators are of the rows.
        """
        name = f"{op.name}.{part}" if part else op.name
        more.setdefault("sources", (op.name,))
        made = HwOp(name, kind, inputs, shape, **more)  # type: ignore[arg-type]
        rows = self.rows_of(inputs, shape) if kind in _POINTWISE and _is_alike(made) else None
        if rows is None:
            return self.emit(made)
        row = self.emit(made._replace(name=f"{name}{ROW}", inputs=rows, shape=(1, 1, shape[2], shape[1])))
        return self.as_line(row, name, op.name)

    def real(self, op: Op, kind: str, x: str, shape: Shape, part: str = "", **more: object) -> str:
        """An operator that runs on real numbers, between the two conversions."""
        x = self.dequantised(x, op.name)
        x = self.step(op, f"{part}.result".lstrip("."), kind, (x,), shape, real=True, **more)
        return self.step(op, part, "QUANTIZE", (x,), shape)

    def dequantised(self, x: str, source: str) -> str:
        """The tensor as real numbers; converted once, whoever reads it."""
        name = f"{x}.real"
        if name not in self.ops:
            self.emit(HwOp(name, "DEQUANTIZE", (x,), self.ops[x].shape, (source,), real=True))
        return name

    def finish(self, op: Op, name: str) -> None:
        self.tensor_of[op.name] = name

    def shape_of(self, name: str) -> Shape:
        """A graph tensor's shape."""
        return self.graph.by_name[name].shape

    def only_user(self, op: Op) -> Op | None:
        users = self.consumers[op.name]
        return users[0] if len(users) == 1 and op.name not in self.outputs else None

    def activation(self, op: Op) -> tuple[Op, str]:
        """The activation that fuses into `op`, and the graph operator whose tensor results."""
        user = self.only_user(op)
        kind = None if user is None else "RELU_N1_TO_1" if _between_ones(user) else _FUSED.get(user.kind)
        if user is not None and kind is not None:
            self.absorbed.add(user.name)
            return user, kind
        return op, "NONE"

    # ---- lines, and the maps of one row that layers make of them ------------------------------------------------

    def row_of(self, line: str) -> str | None:
        """The row [1, 1, N, C] that a line [1, C, N] was turned from; None where it was not."""
        op = self.ops[line]
        if len(op.shape) != 3:
            return None
        row = (1, 1, op.shape[2], op.shape[1])
        if op.kind == "TRANSPOSE" and op.extra == _TURN:
            op = self.ops[op.inputs[0]]
        elif 1 not in op.shape[1:]:  # of one channel, or one element, both have the same bytes
            return None
        return op.inputs[0] if op.kind == "RESHAPE" and self.ops[op.inputs[0]].shape == row else None

    def rows_of(self, lines: tuple[str, ...], shape: Shape) -> tuple[str, ...] | None:
        """The rows that all lines, of one shape or of one element, were turned from; None where one was not."""
        rows = [self.row_of(x) for x in lines if self.ops[x].shape in (shape, (*shape[:2], 1))]
        return tuple(row for row in rows if row) if lines and len(rows) == len(lines) and all(rows) else None

    def as_row(self, line: str, name: str, source: str) -> str:
        """A line [1, C, N] as a map of one row [1, 1, N, C]."""
        _, c, n = self.ops[line].shape
        x = self.row_of(line) or self.transpose(line, _TURN, f"{name}.last", source)
        return self.reshape(x, (1, 1, n, c), f"{name}.row", source)

    def as_line(self, row: str, name: str, source: str) -> str:
        """A map of one row [1, 1, N, C] as a line [1, C, N]."""
        _, _, n, c = self.ops[row].shape
        return self.transpose(self.reshape(row, (1, n, c), f"{name}.flat", source), _TURN, name, source)

    # ---- order of the dimensions --------------------------------------------------------------------------------

    def as_map(self, name: str) -> str:
        """The deployed tensor in channels-last order."""
        if name in self.plain and len(self.shape_of(name)) == 4:
            return self.transpose(self.tensor_of[name], (0, 2, 3, 1), f"{name}.nhwc", name)
        return self.tensor_of[name]

    def in_order(self, name: str) -> str:
        """The deployed tensor in torch's order."""
        shape = self.shape_of(name)
        if len(shape) == 4 and name not in self.plain:
            return self.transpose(self.tensor_of[name], (0, 3, 1, 2), f"{name}.nchw", name)
        return self.tensor_of[name]

    def transpose(self, x: str, axes: Shape, name: str, source: str) -> str:
        """`x` with its deployed dimensions reordered."""
        before = self.ops[x]
        if before.kind == "TRANSPOSE":
            axes, x = tuple(before.extra[a] for a in axes), before.inputs[0]
        if axes == tuple(range(len(axes))):
            return x
        shape = tuple(self.ops[x].shape[a] for a in axes)
        wide = [a for a in axes if self.ops[x].shape[a] != 1]
        if wide == sorted(wide):  # the same bytes
            return self.reshape(x, shape, name, source)
        if name not in self.ops:
            return self.emit(HwOp(name, "TRANSPOSE", (x,), shape, (source,), extra=axes))
        return name

    def reshape(self, x: str, shape: Shape, name: str, source: str) -> str:
        """`x`, whose dimensions stand in the order of `shape`, in that shape."""
        if self.ops[x].kind == "RESHAPE":
            x = self.ops[x].inputs[0]
        if self.ops[x].shape == shape:
            return x
        if name not in self.ops:
            return self.emit(HwOp(name, "RESHAPE", (x,), shape, (source,)))
        return name

    def shape(self, op: Op) -> Shape:
        """The deployed shape of the operator's result."""
        return op.shape if op.name in self.plain else last(op.shape)

    def follow(self, op: Op) -> None:
        """An elementwise result stands in the order of its first rank-4 operand."""
        if self.plain and len(op.shape) == 4 and any(i in self.plain and len(self.shape_of(i)) == 4 for i in op.inputs):
            self.plain.add(op.name)

    def operand(self, op: Op, name: str) -> str:
        if len(op.shape) == 4 and len(self.shape_of(name)) == 4:
            return self.in_order(name) if op.name in self.plain else self.as_map(name)
        return self.tensor_of[name]

    def axis(self, axis: int, tensor: str) -> int:
        """Where a dimension of a graph tensor stands in the deployed one."""
        rank = len(self.shape_of(tensor))
        axis %= rank
        return axis if rank != 4 or tensor in self.plain else (0, 3, 1, 2)[axis]


Rule = Callable[[Lowering, Op], "bool | None"]

_TURN = (0, 2, 1)  # a line between channels first and channels last
_POINTWISE = frozenset(
    "ADD DIV GELU HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM MUL RELU RELU6 RELU_N1_TO_1 RSQRT SQRT SUB TANH".split()
)

# kinds whose rules take tensors of the model as operands
_CONSTANTS = ARITHMETIC | PRODUCTS | {"concat"}
