"""Products of two feature maps, and the softmax between them.

B       everything before the two dimensions of the matrices, multiplied
"""

from math import inf, prod

from ...graph import Op
from .hw_operator import Shape
from .network import Lowering, Rule

__all__ = ["RULES"]


def _softmax(low: Lowering, op: Op) -> None:
    source, rank = op.inputs[0], len(op.shape)
    low.follow(op)
    axis, x, shape = low.axis(op["axis"], source), low.tensor_of[source], low.shape(op)
    if axis == rank - 1:
        low.finish(op, low.step(op, "", "SOFTMAX", (x,), shape))
        return
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    x = low.transpose(x, tuple(swap), f"{op.name}.behind", op.name)
    x = low.step(op, "softmax", "SOFTMAX", (x,), low.ops[x].shape)
    low.finish(op, low.transpose(x, tuple(swap), op.name, op.name))


def _log_softmax(low: Lowering, op: Op) -> None:
    """One operator on real numbers along the last axis of what is no map; else x - max - log(sum(exp(x - max)))."""
    source, rank = op.inputs[0], len(op.shape)
    low.follow(op)
    axis, x, shape = low.axis(op["axis"], source), low.tensor_of[source], low.shape(op)
    if op["axis"] == rank - 1 and (rank != 4 or op.name in low.plain):
        low.finish(op, low.real(op, "LOG_SOFTMAX", x, shape))
        return
    row = tuple(1 if d == axis else n for d, n in enumerate(shape))
    flat = tuple(n for d, n in enumerate(shape) if d != axis)
    y = low.real(op, "REDUCE_MAX", x, flat, "max", extra=(0, axis))
    y = low.step(op, "finite", "MAXIMUM", (y,), flat, const=("scalar", -inf))
    y = low.reshape(y, row, f"{op.name}.row", op.name)
    x = low.step(op, "shifted", "SUB", (x, y), shape)
    y = low.real(op, "EXP", x, shape, "exp")
    y = low.step(op, "sum", "SUM", (y,), row, extra=(1, axis))
    y = low.real(op, "LOG", y, row, "log")
    low.finish(op, low.step(op, "", "SUB", (x, y), shape))


def _matmul(low: Lowering, op: Op) -> bool:
    shapes = [low.shape_of(i) for i in op.inputs]
    batches = {_batch(s) for s in shapes}
    if len(batches - {()}) > 1 or not any(i in low.tensor_of for i in op.inputs):
        return False
    left, right = (low.in_order(i) if i in low.tensor_of else f"={i}" for i in op.inputs)
    if len(op.shape) == 4:
        low.plain.add(op.name)
    low.finish(op, _product(low, op, "", left, right, shapes[0], shapes[1]))
    return True


def _batch(shape: Shape) -> Shape:
    """What stands before the matrix, without the ones in front."""
    batch = shape[:-2]
    while batch and batch[0] == 1:
        batch = batch[1:]
    return batch


def _attention(low: Lowering, op: Op) -> bool:
    """Query and key scaled alike, their products (and the mask) through softmax, times the value."""
    shapes = [low.shape_of(i) for i in op.inputs]
    q, k, v = shapes[:3]
    shared = _batch(k) == () and _batch(v) == ()  # one key and value for all heads
    if (
        op.get("causal")
        or not (shared or q[:-2] == k[:-2] == v[:-2])
        or any(i not in low.tensor_of for i in op.inputs[1:3])
    ):
        return False
    scores = (*q[:-1], k[-2])
    if len(op.shape) == 4:
        low.plain.add(op.name)
    factor = op.get("scale") or q[-1] ** -0.5
    names = [low.in_order(i) if i in low.tensor_of else f"={i}" for i in op.inputs]
    query, key, value = names[:3]
    if not query.startswith("="):  # a query of the model's own is left as it is
        factor = factor**0.5
        query = low.step(op, "query", "MUL", (query,), q, const=("scalar", factor))
    key = low.step(op, "key", "MUL", (key,), k, const=("scalar", factor))
    turn = (*range(len(k) - 2), len(k) - 1, len(k) - 2)
    key = low.transpose(key, turn, f"{op.name}.turned", op.name)
    x = _product(low, op, "scores", query, key, q, (*k[:-2], k[-1], k[-2]))
    if len(names) > 3:
        mask = low.graph.by_name[op.inputs[3]]
        if op.inputs[3] in low.tensor_of:
            x = low.step(op, "mask", "ADD", (x, names[3]), scores)
        else:
            x = low.step(
                op, "mask", "ADD", (x,), scores, const=("value", mask.name), extra=(mask.elements, 0, *mask.shape)
            )
    x = low.step(op, "softmax", "SOFTMAX", (x,), scores)
    low.finish(op, _product(low, op, "", x, value, scores, v))
    return True


def _product(low: Lowering, op: Op, part: str, left: str, right: str, a: Shape, b: Shape) -> str:
    """The product of batches of matrices of shapes a and b; "=name" is a tensor of the model."""
    label = f"{op.name}.{part}" if part else op.name
    batch = max(a[:-2], b[:-2], key=prod)
    rank3, shape = (prod(batch), a[-2], b[-1]), (*batch, a[-2], b[-1])
    inputs: list[str] = []
    const: tuple[str, object] | None = None
    first = False
    extra: Shape = ()
    for side, name, own in (("left", left, a), ("right", right, b)):
        flat = (prod(own[:-2]), *own[-2:]) if prod(own[:-2]) > 1 or rank3[0] == 1 else own[-2:]
        if name.startswith("="):
            const, first, extra = ("value", name[1:]), side == "left", flat
        else:
            inputs.append(low.reshape(name, flat, f"{label}.{side}", op.name))
    if shape == rank3:
        return low.step(op, part, "BATCH_MATMUL", tuple(inputs), rank3, const=const, const_first=first, extra=extra)
    product = low.step(
        op, f"{part}.product".lstrip("."), "BATCH_MATMUL", tuple(inputs), rank3, const=const, const_first=first,
        extra=extra,
    )  # fmt: skip
    return low.reshape(product, shape, label, op.name)


RULES: dict[str, Rule] = {"softmax": _softmax, "log_softmax": _log_softmax, "matmul": _matmul, "attention": _attention}
