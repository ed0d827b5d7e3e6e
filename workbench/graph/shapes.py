"""Shape rules: an operator's output shape from the shapes of what it reads.

Output channels come from the operator's own parameters; everything else follows from the inputs. Spatial sizes
are the textbook formulas, in elements:

    conv, pool    floor((n + 2 p - d (k - 1) - 1) / s) + 1        (ceil where the pool says so)
    transposed    (n - 1) s - 2 p + d (k - 1) + o + 1
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType

from ..errors import NotApplicable
from .dimension_factors import Factors, reshape_factors, splits_merged
from .kinds import (
    ACTIVATIONS,
    ADAPTIVE_POOLS,
    ARITHMETIC,
    FUNCTIONS,
    LAYERS,
    NORMS,
    PADS,
    RECURRENT,
    REDUCTIONS,
    WINDOW_POOLS,
)
from .op import Op

__all__ = ["RECORDED_RULES", "RULES", "infer_shape"]

Shape = tuple[int, ...]


_Rule = Callable[[Op, Sequence[Shape]], Shape]  # the operator and the shapes it reads
_Traced = Sequence[Shape] | None
_FactorsRead = Callable[[], Factors] | None
_RecordedRule = Callable[[Op, Sequence[Shape], _Traced, _FactorsRead], Shape]  # as in infer_shape


def infer_shape(op: Op, inputs: Sequence[Shape], traced: _Traced = None, factors: _FactorsRead = None) -> Shape:
    """The output shape of `op` on inputs of the given shapes.

    traced: the input shapes `op.shape` was recorded with; rules that exist only as a recorded size (a reshape
    that splits dimensions, a resize to a fixed size) are scaled from them, or refused with NotApplicable. factors:
    returns what the dimensions it reads are made of; called where a reshape splits one that changed.

    >>> from .op import Param
    >>> conv = Op("y", "conv2d", ("x",), (1, 8, 16, 16), params=(Param("weight", "w", (8, 3, 3, 3)),), attrs=(
    ...     ("dilation", (1, 1)), ("groups", 1), ("kernel", (3, 3)), ("padding", (1, 1)), ("stride", (2, 2))))
    >>> infer_shape(conv, [(1, 3, 32, 32)])
    (1, 8, 16, 16)
    """
    if not inputs or (traced is not None and list(traced) == list(inputs) and not _has_own_width(op)):
        return op.shape
    if op.kind in RULES:
        return RULES[op.kind](op, inputs)
    if op.kind in RECORDED_RULES and (op.kind != "resize" or traced is not None):
        return RECORDED_RULES[op.kind](op, inputs, traced, factors)
    name = op.module or op.name
    raise NotApplicable(f"{name}: no rule says how {op.kind} changes when its input becomes {inputs[0]}")


def _has_own_width(op: Op) -> bool:
    return op.kind in LAYERS and op.param("weight") is not None


# ---- layers -----------------------------------------------------------------------------------------------------


def _linear(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    weight = op.param("weight")
    return (*first[:-1], weight.shape[0] if weight is not None else op.shape[-1])


def _conv1d(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    k, s, p, d = (int(op[key]) for key in ("kernel", "stride", "padding", "dilation"))
    return (first[0], op.weight_shape[0], (first[2] + 2 * p - d * (k - 1) - 1) // s + 1)


def _conv_transpose2d(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    sizes = [
        (n - 1) * op["stride"][i] - 2 * op["padding"][i] + op["dilation"][i] * (op["kernel"][i] - 1)
        + op["output_padding"][i] + 1
        for i, n in enumerate(first[2:])
    ]  # fmt: skip
    return (first[0], op.weight_shape[1] * op["groups"], *sizes)


def _conv2d(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    sizes = [
        (n + 2 * op["padding"][i] - op["dilation"][i] * (op["kernel"][i] - 1) - 1) // op["stride"][i] + 1
        for i, n in enumerate(first[2:])
    ]
    if min(sizes) < 1:
        raise NotApplicable(f"{op.module}: a {op['kernel']} kernel does not fit a {first[2:]} map")
    return (first[0], op.weight_shape[0], *sizes)


# ---- pooling and reductions -------------------------------------------------------------------------------------


def _window_pool(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return (*first[:-2], *(_pooled(op, first, i) for i in (0, 1)))


def _pooled(op: Op, first: Shape, i: int) -> int:
    n, k, s, p = first[i - 2], op["kernel"][i], op["stride"][i], op["padding"][i]
    span = n + 2 * p - (op.get("dilation") or (1, 1))[i] * (k - 1) - 1
    if span < 0:
        raise NotApplicable(f"{op.module}: a {k} wide pool does not fit a map of {n}")
    if not op["ceil"]:
        return int(span // s + 1)
    size = -(-span // s) + 1
    return int(size - 1 if (size - 1) * s >= n + p else size)  # the last window must start inside the map


def _avg_pool1d(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return (*first[:-1], (first[-1] - op["kernel"]) // op["stride"] + 1)


def _adaptive_pool(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return (*first[:-2], *op["size"])


def _reduction(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    axes = {a % len(first) for a in op["axes"]}
    if op["keepdim"]:
        return tuple(1 if i in axes else d for i, d in enumerate(first))
    return tuple(d for i, d in enumerate(first) if i not in axes)


# ---- elementwise and products -----------------------------------------------------------------------------------


def _same(op: Op, shapes: Sequence[Shape]) -> Shape:
    return shapes[0]


def _arithmetic(op: Op, shapes: Sequence[Shape]) -> Shape:
    return _broadcast(op, shapes) if len(shapes) > 1 else shapes[0]


def _broadcast(op: Op, shapes: Sequence[Shape]) -> Shape:
    rank = max(len(s) for s in shapes)
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    out = []
    for dims in zip(*padded, strict=True):
        sizes = {d for d in dims if d != 1}
        if len(sizes) > 1:
            words = " and ".join("x".join(map(str, shape)) for shape in shapes)
            raise NotApplicable(f"{op.module or op.name}: the sizes it was written for would no longer agree ({words})")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def _matmul(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return (*_broadcast(op, [s[:-2] for s in shapes]), first[-2], shapes[1][-1])


def _attention(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    for mask in shapes[3:]:
        _broadcast(op, [mask, (*first[:-1], shapes[1][-2])])
    return (*first[:-1], shapes[2][-1])


def _recurrent(op: Op, shapes: Sequence[Shape]) -> Shape:
    return (*shapes[0][:-1], op.shape[-1])


# ---- layout -----------------------------------------------------------------------------------------------------


def _permute(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return tuple(first[a] for a in op["axes"])


def _concat(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    axis = op["axis"] % len(first)
    return tuple(sum(s[i] for s in shapes) if i == axis else d for i, d in enumerate(first))


def _slice(op: Op, shapes: Sequence[Shape], traced: _Traced, factors: _FactorsRead) -> Shape:
    first = shapes[0]
    axis = op["axis"] % len(first)
    if factors and traced is not None and first[axis] != (size := traced[0][axis]):
        raise NotApplicable(f"{op.module or op.name}: its slice of {size} is written for one input size")
    size = len(range(op["start"], min(op["stop"], first[axis]), op["step"]))
    return tuple(size if i == axis else d for i, d in enumerate(first))


def _pad(op: Op, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    return tuple(d + sum(p) for d, p in zip(first, op["pads"], strict=True))


def _resize(op: Op, shapes: Sequence[Shape], traced: _Traced, factors: _FactorsRead) -> Shape:
    first = shapes[0]
    assert traced is not None
    sizes = zip(first[2:], op.shape[2:], traced[0][2:], strict=True)
    return (*first[:2], *(round(n * out / old) for n, out, old in sizes))


def _reshape(op: Op, shapes: Sequence[Shape], traced: _Traced, factors: _FactorsRead) -> Shape:
    first = shapes[0]
    out = []
    for merged, recorded in zip(op["dims"], op.shape, strict=True):
        n = recorded if merged is None else 1
        for d in merged or ():
            n *= first[d]
        out.append(n)
    # dimensions the reshape splits are known only as recorded sizes: right while nothing it splits has changed
    differs = prod(out) != prod(first)
    read = factors() if factors and (differs or len(out) > len(first)) else None
    if differs or (read and splits_merged(read, op.shape)):
        by_dim = reshape_factors(read, op.shape) if read else None
        out = [prod(now for _, now in dim) for dim in by_dim or ()]
    if not out or (factors and _may_be_windows(op, first, out)):
        raise NotApplicable(f"{op.module or op.name}: its reshape to {op.shape} is written for one input size")
    return tuple(out)


def _may_be_windows(op: Op, first: Shape, out: Sequence[int]) -> bool:
    """Whether a 1 beside a size that changed may be the number of windows on a map that had one; not a new axis."""
    changed = [now != recorded for now, recorded in zip(out, op.shape, strict=True)]
    ones = [i for i, dims in enumerate(op["dims"]) if i and dims == () and any(changed[i - 1 : i + 2])]
    return len(ones) > 1 or (len(ones) == 1 and len(out) != len(first) + 1)


# Neither table has `input` and `param`, which read nothing, and `expand`, which takes the size of other tensors of its
# module.
RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "conv2d": _conv2d,
        "conv1d": _conv1d,
        "conv_transpose2d": _conv_transpose2d,
        "linear": _linear,
        "avg_pool1d": _avg_pool1d,
        **dict.fromkeys(NORMS | ACTIVATIONS | FUNCTIONS, _same),
        **dict.fromkeys(ARITHMETIC, _arithmetic),
        **dict.fromkeys(WINDOW_POOLS, _window_pool),
        **dict.fromkeys(ADAPTIVE_POOLS, _adaptive_pool),
        **dict.fromkeys(REDUCTIONS, _reduction),
        **dict.fromkeys(PADS, _pad),
        "softmax": _same,
        "log_softmax": _same,
        **dict.fromkeys(RECURRENT, _recurrent),
        "roll": _same,
        "permute": _permute,
        "concat": _concat,
        "matmul": _matmul,
        "attention": _attention,
    }
)
# Rules for kinds whose attributes hold sizes of the recorded input.
RECORDED_RULES: Mapping[str, _RecordedRule] = MappingProxyType(
    {"reshape": _reshape, "slice": _slice, "resize": _resize}
)
