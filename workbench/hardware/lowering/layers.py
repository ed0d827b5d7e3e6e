"""Convolutions and fully connected layers, with what folds into their weights."""

from functools import lru_cache
from math import prod

from ...graph import Op
from ...graph.kinds import AFFINE
from .hw_operator import HwOp, Shape
from .network import Lowering, Rule, last

__all__ = ["RULES", "is_same", "pad_map"]

_VALUES = ("value", "inverse")


def _conv2d(low: Lowering, op: Op) -> bool:
    if op.param("weight") is None:
        return False
    x, source = low.as_map(op.inputs[0]), low.shape_of(op.inputs[0])
    layer = _alone(op, source)
    if not layer.same and any(op["padding"]):
        ph, pw = op["padding"]
        x = pad_map(low, op, x, last(source), (ph, ph, pw, pw), "PAD")
    x, scalars = _before_scalars(low, x, layer.same)
    _layer(low, op, layer._replace(scalars=scalars), (x,))
    return True


def _before_scalars(low: Lowering, x: str, padded: bool) -> tuple[str, tuple[str, ...]]:
    """Arithmetic with one number folds into the layer behind it, whoever else reads its result: what it reads, and the
    graph operators it is, in order. padded: the layer's zeros must stay zeros, so that only factors fold.
    """
    scalars: list[str] = []
    kinds = ("MUL",) if padded else ("ADD", "SUB", "MUL")
    while (op := low.ops[x]).kind in kinds:
        arithmetic = low.graph.by_name[op.sources[0]]
        role = op.const[0] if op.const is not None and not op.const_first and op.act == "NONE" else ""
        if arithmetic.kind not in AFFINE or not (role == "scalar" or (role in _VALUES and op.extra[:1] == (1,))):
            break
        scalars.insert(0, arithmetic.name)
        x = op.inputs[0]
    return x, tuple(scalars)


@lru_cache(maxsize=1 << 14)
def _alone(op: Op, source: Shape) -> HwOp:
    """A convolution of a map of torch's shape `source`, its input not yet known and nothing folded into it."""
    weight = op.param("weight")
    assert weight is not None
    o, i, kh, kw = weight.shape
    depthwise = op.is_depthwise
    same = is_same(source[2:], op["kernel"], op["stride"], op["padding"], op["dilation"])
    return HwOp(
        op.name, "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (), last(op.shape), (op.name,),
        weight=(1, kh, kw, o) if depthwise else (o, kh, kw, i), groups=op["groups"], stride=op["stride"],
        dilation=op["dilation"], kernel=(kh, kw), same=same and any(op["padding"]),
    )  # fmt: skip


def _conv1d(low: Lowering, op: Op) -> bool:
    """A convolution of a map of one row; around it lines turn between channels first and channels last."""
    weight = op.param("weight")
    if weight is None or len(op.shape) != 3:
        return False
    (_, c, n), (o, i, k), (_, _, m) = low.shape_of(op.inputs[0]), weight.shape, op.shape
    x = low.as_row(low.in_order(op.inputs[0]), op.name, op.name)
    line = [(1, v) for v in (op["kernel"], op["stride"], op["dilation"])]
    same = is_same((1, n), line[0], line[1], (0, op["padding"]), line[2])
    if op["padding"] and not same:
        x = pad_map(low, op, x, (1, 1, n, c), (0, 0, op["padding"], op["padding"]), "PAD")
    depthwise = i == 1 and op["groups"] > 1
    kind, shape = ("DEPTHWISE_CONV_2D", (1, 1, k, o)) if depthwise else ("CONV_2D", (o, 1, k, i))
    layer = HwOp(
        op.name, kind, (x,), (1, 1, m, o), (op.name,), weight=shape, groups=op["groups"], kernel=line[0],
        stride=line[1], dilation=line[2], same=same and op["padding"] > 0,
    )  # fmt: skip
    folds = _layer(low, op, layer)
    x = low.as_line(low.tensor_of[op.name], f"{op.name}.line", op.name)
    for name in folds:
        low.tensor_of[name] = x
    return True


def _conv_transpose2d(low: Lowering, op: Op) -> bool:
    """Without padding, or with the padding that SAME cuts from what is `stride` times as large."""
    weight = op.param("weight")
    spread = op["dilation"] != (1, 1) or any(op["output_padding"])
    if weight is None or op["groups"] != 1 or spread or len(op.shape) != 4:
        return False
    i, o, kh, kw = weight.shape
    same = all(k - s == 2 * p for k, s, p in zip((kh, kw), op["stride"], op["padding"], strict=True))
    if any(op["padding"]) and not same:
        return False
    layer = HwOp(
        op.name, "TRANSPOSE_CONV", (low.as_map(op.inputs[0]),), last(op.shape), (op.name,), weight=(o, kh, kw, i),
        kernel=(kh, kw), stride=op["stride"], same=any(op["padding"]),
    )  # fmt: skip
    _layer(low, op, layer)
    return True


def _linear(low: Lowering, op: Op) -> bool:
    weight = op.param("weight")
    if weight is None:
        return False
    if len(op.shape) == 4:
        low.plain.add(op.name)
    x, before = _unscaled(low, op, low.in_order(op.inputs[0]))
    layer = HwOp(op.name, "FULLY_CONNECTED", (x,), op.shape, (op.name,), weight=weight.shape, before=before)
    _layer(low, op, layer)
    return True


def _unscaled(low: Lowering, op: Op, x: str) -> tuple[str, str]:
    """Scale and shift of a layer norm that only `op` reads fold into its weights: what stands before them, the norm."""
    view = low.ops[x]
    shifted = low.ops[view.inputs[0]] if view.kind == "RESHAPE" else view
    norm = low.graph.by_name[shifted.sources[0]]
    if norm.kind != "layer_norm" or shifted.const != ("bias", norm.name) or low.only_user(norm) is not op:
        return x, ""
    scaled = low.ops[shifted.inputs[0]]
    if view is not shifted and (view.shape[-1] != shifted.shape[-1] or len(view.shape) > 3):
        return x, ""
    for old in {view.name, shifted.name, scaled.name}:
        del low.ops[old]
    x = scaled.inputs[0]
    return (x if view is shifted else low.reshape(x, view.shape, view.name, norm.name)), norm.name


def _layer(low: Lowering, op: Op, layer: HwOp, inputs: tuple[str, ...] = ()) -> list[str]:
    """Fold batch norms, constants, a bias and an activation into a convolution or fully connected layer.

    inputs: where the layer has none yet. Returns the graph operators whose tensor the layer makes.
    """
    inputs = inputs or layer.inputs
    bias, folds = op.param("bias") is not None or bool(layer.before or layer.scalars), [op.name]
    end, axis, layer = _behind_view(low, op, layer)
    while (user := low.only_user(end)) is not None and _folds(low, user, axis):
        folds.append(user.name)
        low.absorbed.add(user.name)
        bias, end = bias or user.kind in ("batch_norm", "add", "sub"), user
    if user is not None and user.kind == "hard_sigmoid":
        folds.append(user.name)
        _hard_sigmoid(low, op, user, layer._replace(inputs=inputs, folds=tuple(folds), sources=tuple(folds)))
        return folds
    end, act = low.activation(end)
    if act != "NONE":
        folds.append(end.name)
    if op.name in low.plain:
        low.plain.update(folds)
    sources = tuple(folds)
    layer = layer._replace(name=end.name, inputs=inputs, act=act, bias=bias, folds=sources, sources=sources)
    for name in folds:
        low.tensor_of[name] = layer.name
    low.emit(layer)
    return folds


def _behind_view(low: Lowering, op: Op, layer: HwOp) -> tuple[Op, int, HwOp]:
    """A fully connected layer's reshape or permute is absorbed where what folds stands behind it.

    Returns the graph operator that the folds follow, the axis of the channels in its tensor, and the layer.
    """
    axis = len(op.shape) - 1 if op.kind == "linear" else 1
    view = low.only_user(op)
    if axis == 1 or view is None:
        return op, axis, layer
    user = low.only_user(view)
    if user is None:
        return op, axis, layer
    # positions in one row, so that a batch norm sees their channels
    in_a_row = view.kind == "reshape" and view.shape[1:] == op.shape[-1:] and user.kind == "batch_norm"
    # a layer on maps, and a factor or offset a channel
    turned = view.kind == "permute" and len(op.shape) == 4 and view["axes"] == (0, 3, 1, 2)
    if in_a_row:
        layer = layer._replace(shape=view.shape)
    elif not turned or user.kind == "batch_norm" or not _folds(low, user, 1):
        return op, axis, layer
    low.absorbed.add(view.name)
    low.plain.discard(op.name)
    return view, 1, layer


def _hard_sigmoid(low: Lowering, op: Op, user: Op, layer: HwOp) -> None:
    """The layer with its offset raised by 3 and a ReLU6, then a product with 1/6."""
    low.absorbed.add(user.name)
    clipped = low.emit(layer._replace(name=f"{user.name}.relu6", act="RELU6", bias=True))
    if op.name in low.plain:
        low.plain.add(user.name)
    low.finish(user, low.step(user, "", "MUL", (clipped,), layer.shape, const=("scalar", 1 / 6)))
    low.tensor_of[op.name] = low.tensor_of[user.name]


def _folds(low: Lowering, user: Op, axis: int) -> bool:
    """A batch norm over the layer's output channels (dimension `axis`), or arithmetic with one constant a channel."""
    if user.kind == "batch_norm":
        return axis == 1
    if axis not in (1, 3) or user.kind not in AFFINE or user.get("reverse"):
        return False
    if user.get("scalar") is not None:
        return True
    constants = [low.graph.by_name[i] for i in user.inputs if low.graph.by_name[i].kind == "param"]
    if len(constants) != 1 or len(user.inputs) != 2 or (user.kind in ("sub", "div") and user.inputs[1] not in (
        constants[0].name,
    )):  # fmt: skip
        return False
    shape = constants[0].shape
    behind = len(user.shape) - axis
    channels = shape[-behind] if len(shape) >= behind else 1
    return constants[0].elements == 1 or (channels == user.shape[axis] == prod(shape))


def pad_map(low: Lowering, op: Op, x: str, shape: Shape, pads: tuple[int, int, int, int], kind: str) -> str:
    """`x`, a map, padded for `op`: above, below, left and right."""
    n, h, w, c = shape
    return low.step(op, "pad", kind, (x,), (n, h + pads[0] + pads[1], w + pads[2] + pads[3], c), extra=pads)


def is_same(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> bool:
    """Whether TensorFlow's SAME rule pads exactly as torch's symmetric padding does (both axes)."""
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = (k - 1) * d + 1
        out = -(-n // s)
        total = max((out - 1) * s + span - n, 0)
        if (total // 2, total - total // 2) != (p, p) or (n + 2 * p - span) // s + 1 != out:
            return False
    return True


RULES: dict[str, Rule] = {
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "conv_transpose2d": _conv_transpose2d,
    "linear": _linear,
}
