"""Activations and arithmetic."""

from ...graph import Op
from .hw_operator import Shape
from .network import Lowering, Rule

__all__ = ["RULES"]

_UNARY = {
    "relu": "RELU",
    "relu6": "RELU6",
    "hard_swish": "HARD_SWISH",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "leaky_relu": "LEAKY_RELU",
    "gelu": "GELU",
    "sqrt": "SQRT",
    "rsqrt": "RSQRT",
}
_BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "DIV", "maximum": "MAXIMUM", "minimum": "MINIMUM"}
_REAL = {"exp": "EXP", "abs": "ABS"}
_FUSING = frozenset("ADD SUB MUL DIV".split())


def _unary(low: Lowering, op: Op) -> None:
    low.follow(op)
    const = ("alpha", op["slope"]) if op.kind == "leaky_relu" else None
    low.finish(op, low.step(op, "", _UNARY[op.kind], (low.tensor_of[op.inputs[0]],), low.shape(op), const=const))


def _input(low: Lowering, op: Op) -> None:
    low.finish(op, low.step(op, "", "INPUT", (), low.shape(op)))


def _hard_sigmoid(low: Lowering, op: Op) -> None:
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    shifted = low.step(op, "relu6", "ADD", (x,), shape, act="RELU6", const=("scalar", 3.0))
    low.finish(op, low.step(op, "", "MUL", (shifted,), shape, const=("scalar", 1 / 6)))


def _silu(low: Lowering, op: Op) -> None:
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    gate = low.step(op, "logistic", "LOGISTIC", (x,), shape)
    low.finish(op, low.step(op, "", "MUL", (x, gate), shape))


def _real(low: Lowering, op: Op) -> None:
    low.follow(op)
    low.finish(op, low.real(op, _REAL[op.kind], low.tensor_of[op.inputs[0]], low.shape(op)))


def _neg(low: Lowering, op: Op) -> None:
    low.follow(op)
    low.finish(op, low.step(op, "", "MUL", (low.tensor_of[op.inputs[0]],), low.shape(op), const=("scalar", -1.0)))


def _clamp(low: Lowering, op: Op) -> None:
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    for bound, part, kind in ((op["low"], "low", "MAXIMUM"), (op["high"], "", "MINIMUM")):
        if bound is not None:
            x = low.step(op, part if op["high"] is not None else "", kind, (x,), shape, const=("scalar", bound))
    low.finish(op, x)


def _square(low: Lowering, op: Op) -> bool:
    if op["exponent"] not in (2, 0.5, -0.5):
        return False
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    kind = {2: "MUL", 0.5: "SQRT", -0.5: "RSQRT"}[op["exponent"]]
    low.finish(op, low.step(op, "", kind, (x, x) if kind == "MUL" else (x,), shape))
    return True


def _binary(low: Lowering, op: Op) -> bool:
    """Two feature maps, or one and a constant of the model or a number."""
    low.follow(op)
    operands = [low.graph.by_name[i] for i in op.inputs]
    params = [i.name for i in operands if i.kind == "param"]
    names = [i.name for i in operands if i.kind != "param"]
    if not names or len(params) > 1:
        return False
    if len(op.shape) == 4 and any(1 < len(i.shape) < 4 and i.kind != "param" and i.elements > 1 for i in operands):
        low.plain.add(op.name)  # torch lines shapes up from the back
    kind = _BINARY[op.kind]
    const: tuple[str, object] | None = None
    extra: Shape = ()
    first = bool(op.get("reverse")) or (bool(params) and op.kind in ("sub", "div") and op.inputs[0] == params[0])
    if op.get("scalar") is not None:
        const = ("scalar", op["scalar"])
    elif params:
        const, extra = _constant(low, op, params[0])
    if kind == "DIV" and const is not None and not first:  # dividing by a constant is multiplying by its inverse
        if not const[1]:
            return False
        kind = "MUL"
        const = ("inverse", const[1]) if const[0] == "value" else ("scalar", 1 / op["scalar"])
    inputs = tuple(low.operand(op, i) for i in names)
    shape = low.shape(op)
    end, act = low.activation(op) if kind in _FUSING else (op, "NONE")
    if op.name in low.plain:
        low.plain.add(end.name)
    result = low.step(
        end, "", kind, inputs, shape, act=act, const=const, extra=extra, const_first=first,
        sources=tuple(dict.fromkeys((op.name, end.name))),
    )  # fmt: skip
    low.tensor_of[op.name] = low.tensor_of[end.name] = result
    return True


def _constant(low: Lowering, op: Op, name: str) -> tuple[tuple[str, object], Shape]:
    """A tensor of the model as the operand of `op`."""
    turned = len(op.shape) == 4 and op.name not in low.plain
    return ("value", name), (low.graph.by_name[name].elements, int(turned))


def _addcmul(low: Lowering, op: Op) -> bool:
    """The product of the last two, then the sum with the first; each with at most one tensor of the model."""
    start, *factors = op.inputs
    names = [i for i in factors if i in low.tensor_of]
    if not names or any(low.shape_of(i) != op.shape for i in (start, *factors) if i in low.tensor_of):
        return False
    low.follow(op)
    shape = low.shape(op)
    const, extra = next((_constant(low, op, i) for i in factors if i not in low.tensor_of), (None, ()))
    x = low.step(op, "product", "MUL", tuple(low.operand(op, i) for i in names), shape, const=const, extra=extra)
    inputs: tuple[str, ...] = (x,)
    const, extra = None, ()
    if start in low.tensor_of:
        inputs = (low.operand(op, start), x)
    else:
        const, extra = _constant(low, op, start)
    low.finish(op, low.step(op, "", "ADD", inputs, shape, const=const, extra=extra))
    return True


RULES: dict[str, Rule] = {
    "input": _input,
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REAL, _real),
    "neg": _neg,
    "addcmul": _addcmul,
    "hard_sigmoid": _hard_sigmoid,
    "silu": _silu,
    "clamp": _clamp,
    "pow": _square,
}
