"""Shape rules: an operator's output shape from the shapes of what it reads.

Output channels come from the operator's own parameters; everything else follows from the inputs. Spatial sizes
are the textbook formulas, in elements:

    conv, pool    floor((n + 2 p - d (k - 1) - 1) / s) + 1        (ceil where the pool says so)
    transposed    (n - 1) s - 2 p + d (k - 1) + o + 1
"""

from collections.abc import Callable, Sequence
from math import prod

from ..errors import NotApplicable
from .factors import REDUCTIONS, Factors, split, unflattens
from .ir import Op

__all__ = ["infer_shape", "taken_apart"]

Shape = tuple[int, ...]

_LAST_DIM = {"linear"}
_POOLS = {"max_pool2d", "avg_pool2d"}
_POINTWISE = frozenset(
    "batch_norm layer_norm rms_norm group_norm relu relu6 hard_swish hard_sigmoid silu sigmoid tanh gelu mish elu "
    "softplus exp sqrt rsqrt abs neg roll leaky_relu prelu clamp pow softmax add sub mul div maximum "
    "minimum".split()
)


def infer_shape(
    op: Op,
    inputs: Sequence[Shape],
    traced: Sequence[Shape] | None = None,
    factors: Callable[[], Factors] | None = None,
) -> Shape:
    """The output shape of `op` on inputs of the given shapes.

    traced: the input shapes `op.shape` was recorded with; rules that exist only as a recorded size (a reshape
    that splits dimensions, a resize to a fixed size) are scaled from them, or refused with NotApplicable. factors:
    what the dimensions it reads are made of, asked for where a reshape splits one that changed.

    >>> from .ir import Param
    >>> conv = Op("y", "conv2d", ("x",), (1, 8, 16, 16), params=(Param("weight", "w", (8, 3, 3, 3)),), attrs=(
    ...     ("dilation", (1, 1)), ("groups", 1), ("kernel", (3, 3)), ("padding", (1, 1)), ("stride", (2, 2))))
    >>> infer_shape(conv, [(1, 3, 32, 32)])
    (1, 8, 16, 16)
    """
    if not inputs or (traced is not None and list(traced) == list(inputs) and _own_width(op) is None):
        return op.shape
    first = inputs[0]
    kind = op.kind
    if kind in ("conv2d", "conv1d", "conv_transpose2d"):
        return _convolution(op, first)
    if kind in _LAST_DIM:
        return (*first[:-1], _own_width(op) or op.shape[-1])
    if kind in _POOLS:
        return (*first[:-2], *(_pooled(op, first, i) for i in (0, 1)))
    if kind == "avg_pool1d":
        return (*first[:-1], (first[-1] - op["kernel"]) // op["stride"] + 1)
    if kind in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return (*first[:-2], *op["size"])
    if kind in REDUCTIONS:
        axes = {a % len(first) for a in op["axes"]}
        if op["keepdim"]:
            return tuple(1 if i in axes else d for i, d in enumerate(first))
        return tuple(d for i, d in enumerate(first) if i not in axes)
    if kind in ("add", "sub", "mul", "div", "maximum", "minimum", "addcmul") and len(inputs) > 1:
        return _broadcast(op, inputs)
    if kind == "permute":
        return tuple(first[a] for a in op["axes"])
    if kind == "concat":
        axis = op["axis"] % len(first)
        return tuple(sum(s[i] for s in inputs) if i == axis else d for i, d in enumerate(first))
    if kind == "slice":
        axis = op["axis"] % len(first)
        if factors and traced is not None and first[axis] != traced[0][axis]:
            raise NotApplicable(f"{op.module or op.name}: its slice of {traced[0][axis]} is written for one input size")
        taken = len(range(op["start"], min(op["stop"], first[axis]), op["step"]))
        return tuple(taken if i == axis else d for i, d in enumerate(first))
    if kind in ("pad", "reflect_pad"):
        return tuple(d + sum(p) for d, p in zip(first, op["pads"], strict=True))
    if kind == "reshape":
        return _reshape(op, first, factors)
    if kind == "resize" and traced is not None:
        sizes = (round(n * out / old) for n, out, old in zip(first[2:], op.shape[2:], traced[0][2:], strict=True))
        return (*first[:2], *sizes)
    if kind == "matmul":
        return (*_broadcast(op, [s[:-2] for s in inputs]), first[-2], inputs[1][-1])
    if kind == "attention":
        for mask in inputs[3:]:
            _broadcast(op, [mask, (*first[:-1], inputs[1][-2])])
        return (*first[:-1], inputs[2][-1])
    if kind in _POINTWISE:
        return first
    raise NotApplicable(f"{op.module or op.name}: no rule says how {kind} changes when its input becomes {first}")


def _own_width(op: Op) -> int | None:
    weight = op.param("weight")
    if weight is not None and op.kind == "conv_transpose2d":
        return int(weight.shape[1] * op["groups"])
    return weight.shape[0] if weight is not None and op.kind in ("conv2d", "conv1d", "linear") else None


def _convolution(op: Op, first: Shape) -> Shape:
    weight = op.param("weight")
    assert weight is not None
    if op.kind == "conv1d":
        k, s, p, d = (int(op[key]) for key in ("kernel", "stride", "padding", "dilation"))
        return (first[0], weight.shape[0], (first[2] + 2 * p - d * (k - 1) - 1) // s + 1)
    if op.kind == "conv_transpose2d":
        sizes = [
            (n - 1) * op["stride"][i] - 2 * op["padding"][i] + op["dilation"][i] * (op["kernel"][i] - 1)
            + op["output_padding"][i] + 1
            for i, n in enumerate(first[2:])
        ]  # fmt: skip
        return (first[0], weight.shape[1] * op["groups"], *sizes)
    sizes = [
        (n + 2 * op["padding"][i] - op["dilation"][i] * (op["kernel"][i] - 1) - 1) // op["stride"][i] + 1
        for i, n in enumerate(first[2:])
    ]
    if min(sizes) < 1:
        raise NotApplicable(f"{op.module}: a {op['kernel']} kernel does not fit a {first[2:]} map")
    return (first[0], weight.shape[0], *sizes)


def _pooled(op: Op, first: Shape, i: int) -> int:
    n, k, s, p = first[i - 2], op["kernel"][i], op["stride"][i], op["padding"][i]
    span = n + 2 * p - (op.get("dilation") or (1, 1))[i] * (k - 1) - 1
    if span < 0:
        raise NotApplicable(f"{op.module}: a {k} wide pool does not fit a map of {n}")
    if not op["ceil"]:
        return span // s + 1
    size = -(-span // s) + 1
    return size - 1 if (size - 1) * s >= n + p else size  # the last window must start inside the map


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


def _reshape(op: Op, first: Shape, factors: Callable[[], Factors] | None) -> Shape:
    out = []
    for merged, recorded in zip(op["dims"], op.shape, strict=True):
        n = recorded if merged is None else 1
        for d in merged or ():
            n *= first[d]
        out.append(n)
    # dimensions the reshape splits are known only as recorded sizes: right while nothing it splits has moved
    made_of = factors() if factors and (prod(out) != prod(first) or len(out) > len(first)) else None
    if prod(out) != prod(first) or (made_of and unflattens(made_of, op.shape)):
        found = split(made_of, op.shape) if made_of else None
        out = [prod(now for _, now in dim) for dim in found or ()]
    if not out or (factors and _may_be_windows(op, first, out)):
        raise NotApplicable(f"{op.module or op.name}: its reshape to {op.shape} is written for one input size")
    return tuple(out)


def taken_apart(op: Op, read: Shape, axis: int) -> tuple[int, int] | None:
    """The two axes into which a reshape takes the one it reads apart, None where it does something else to it.

    >>> op = Op("y", "reshape", ("x",), (1, 2, 64, 7, 7), attrs=(("dims", ((0,), None, None, (2,), (3,))),))
    >>> taken_apart(op, (1, 128, 7, 7), 1)
    (1, 2)
    """
    before, at = prod(read[:axis]), 0
    while at < len(op.shape) and (prod(op.shape[:at]) < before or op.shape[at] == 1):
        at += 1
    parts = op.shape[at : at + 2]
    whole = prod(op.shape[:at]) == before and len(parts) == 2 and prod(parts) == read[axis]
    return (at, at + 1) if whole and op["dims"][at] is None and op["dims"][at + 1] is None else None


def _may_be_windows(op: Op, first: Shape, out: Sequence[int]) -> bool:
    """Whether a 1 beside a size that changed may be the number of windows on a map that had one; not a new axis."""
    moved = [now != recorded for now, recorded in zip(out, op.shape, strict=True)]
    ones = [i for i, dims in enumerate(op["dims"]) if i and dims == () and any(moved[i - 1 : i + 2])]
    return len(ones) > 1 or (len(ones) == 1 and len(out) != len(first) + 1)
