"""Activations and arithmetic."""

from ...graph import Op
from .hw_operator import Shape
from .network import Lowering, Rule, last

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
_BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "DIV", "maximum": "MAXIMUM"}
_REAL = {"exp": "EXP", "abs": "ABS", "log": "LOG"}
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


def _prelu(low: Lowering, op: Op) -> bool:
    """relu(x) - w relu(-x)."""
    if op.param("weight") is None:
        return False
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    above = low.step(op, "above", "RELU", (x,), shape)
    below = low.step(op, "below", "MUL", (x,), shape, act="RELU", const=("scalar", -1.0))
    in_order = (1,) if op.name in low.plain else ()
    scaled = low.step(op, "scaled", "MUL", (below,), shape, const=("weight", op.name), extra=in_order)
    low.finish(op, low.step(op, "", "SUB", (above, scaled), shape))
    return True


def _elu(low: Lowering, op: Op) -> None:
    """Its branches, the exponential on real numbers, and a choice between them."""
    low.follow(op)
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    scale, inner = op.get("scale", 1.0), op.get("input_scale", 1.0)
    straight = x if scale == 1 else low.step(op, "straight", "MUL", (x,), shape, const=("scalar", scale))
    y = x if inner == 1 else low.step(op, "inner", "MUL", (x,), shape, const=("scalar", inner))
    y = low.real(op, "EXP", y, shape, "exp")
    y = low.step(op, "shifted", "SUB", (y,), shape, const=("scalar", 1.0))
    factor = op.get("alpha", 1.0) * scale
    if factor != 1:
        y = low.step(op, "scaled", "MUL", (y,), shape, const=("scalar", factor))
    kind = "GREATER_EQUAL" if op.get("input_scale") is None else "GREATER"
    low.finish(op, _choice(low, op, "", kind, 0.0, straight, y))


def _softplus(low: Lowering, op: Op) -> None:
    low.follow(op)
    low.finish(op, _log1p_exp(low, op, ""))


def _mish(low: Lowering, op: Op) -> None:
    """What it reads times the tanh of its softplus."""
    low.follow(op)
    gate = low.step(op, "tanh", "TANH", (_log1p_exp(low, op, "softplus"),), low.shape(op))
    low.finish(op, low.step(op, "", "MUL", (low.tensor_of[op.inputs[0]], gate), low.shape(op)))


def _log1p_exp(low: Lowering, op: Op, part: str) -> str:
    """log(exp(x) + 1), above 20 x itself."""
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    y = low.real(op, "EXP", x, shape, "exp")
    y = low.step(op, "shifted", "ADD", (y,), shape, const=("scalar", 1.0))
    y = low.step(op, "log", "LOG", (low.dequantised(y, op.name),), shape, real=True)
    return _choice(low, op, part, "GREATER", 20.0, x, y)


def _choice(low: Lowering, op: Op, part: str, kind: str, bound: float, above: str, below: str) -> str:
    """One tensor where the operator's input is above a bound, another one elsewhere, both brought to one scale."""
    x, shape, prefix = low.tensor_of[op.inputs[0]], low.shape(op), f"{part}." if part else ""
    mask = low.step(
        op, f"{prefix}mask", kind, (low.dequantised(x, op.name),), shape, real=True, const=("scalar", bound)
    )
    pair = [
        low.step(op, f"{prefix}{side}", "QUANTIZE", (y,), shape)
        for side, y in (("above", above), ("below", below))
        if side == "above" or low.ops[y].real
    ]
    return low.step(op, part, "SELECT", (mask, *pair, *([below] if len(pair) < 2 else [])), shape)


def _minimum(low: Lowering, op: Op) -> bool:
    """On real numbers: the quantiser knows no integer MINIMUM."""
    if op.get("scalar") is None and any(low.shape_of(i) != op.shape or i not in low.tensor_of for i in op.inputs):
        return False
    low.follow(op)
    if op.get("scalar") is not None:
        const = ("scalar", op["scalar"])
        low.finish(op, low.real(op, "MINIMUM", low.tensor_of[op.inputs[0]], low.shape(op), const=const))
        return True
    pair = tuple(low.dequantised(low.operand(op, name), op.name) for name in op.inputs)
    x = low.step(op, "result", "MINIMUM", pair, low.shape(op), real=True)
    low.finish(op, low.step(op, "", "QUANTIZE", (x,), low.shape(op)))
    return True


def _neg(low: Lowering, op: Op) -> None:
    low.follow(op)
    low.finish(op, low.step(op, "", "MUL", (low.tensor_of[op.inputs[0]],), low.shape(op), const=("scalar", -1.0)))


def _clamp(low: Lowering, op: Op) -> None:
    low.follow(op)
    if (op["low"], op["high"]) == (-1, 1):
        low.finish(op, low.step(op, "", "RELU_N1_TO_1", (low.tensor_of[op.inputs[0]],), low.shape(op)))
        return
    x, shape = low.tensor_of[op.inputs[0]], low.shape(op)
    if op["high"] is not None:  # the quantiser knows no integer MINIMUM
        part = "high" if op["low"] is not None else ""
        x = low.real(op, "MINIMUM", x, shape, part, const=("scalar", op["high"]))
    if op["low"] is not None:
        x = low.step(op, "", "MAXIMUM", (x,), shape, const=("scalar", op["low"]))
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
    constant = low.graph.by_name[name]
    shape = last((*[1] * (4 - len(constant.shape)), *constant.shape)) if turned else constant.shape
    return ("value", name), (constant.elements, int(turned), *shape)


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
    "minimum": _minimum,
    "prelu": _prelu,
    "elu": _elu,
    "softplus": _softplus,
    "mish": _mish,
    "addcmul": _addcmul,
    "hard_sigmoid": _hard_sigmoid,
    "silu": _silu,
    "clamp": _clamp,
    "pow": _square,
}
