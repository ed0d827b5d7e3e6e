"""What every kind of graph operator is in ONNX: rules that emit its nodes through the writer (`onnx_file.py`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..graph import Graph, Op

__all__ = ["RULES", "Rule", "Writer"]


class Writer(Protocol):
    """What a rule may do."""

    graph: Graph

    def emit(self, kind: str, inputs: Sequence[str], out: str, **attrs: Any) -> str:
        """A node that makes the tensor `out`."""

    def constant(self, name: str, data: Any, dtype: Any = np.float32) -> str:
        """A constant tensor."""

    def value(self, op: Op, role: str) -> np.ndarray:
        """The values of a parameter."""

    def read(self, op: Op) -> list[str]:
        """The tensors the operator reads."""

    def weight(self, name: str, data: np.ndarray, axis: int, depthwise: bool = False) -> str:
        """A weight with its output channels along `axis`; depthwise: each has one input channel of its own."""

    def bias(self, op: Op, name: str, data: np.ndarray) -> str:
        """A bias."""

    def layer(self, op: Op) -> tuple[np.ndarray, np.ndarray | None]:
        """Weight and bias with what folds into them."""


Rule = Callable[[Writer, Op, str], object]


def _convolution(kind: str) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        weight, bias = w.layer(op)
        x, axis = w.read(op)[0], int(kind == "ConvTranspose")
        depthwise = not axis and weight.shape[:2] == (op["groups"], 1)
        tensors = [x, w.weight(f"{op.name}.weight", weight, axis, depthwise)]
        if bias is not None:
            tensors.append(w.bias(op, f"{op.name}.bias", bias))
        pair: Callable[[Any], list[int]] = lambda v: [v] if isinstance(v, int) else list(v)  # noqa: E731
        attrs = {"output_padding": pair(op["output_padding"])} if axis else {}
        w.emit(
            kind, tensors, out, kernel_shape=list(weight.shape[2:]), strides=pair(op["stride"]),
            pads=pair(op["padding"]) * 2, dilations=pair(op["dilation"]), group=op["groups"], **attrs,
        )  # fmt: skip

    return rule


def _linear(w: Writer, op: Op, out: str) -> None:
    weight, bias = w.layer(op)
    x = w.read(op)[0]
    if len(op.shape) == 2:
        tensors = [x, w.weight(f"{op.name}.weight", weight, 0)]
        if bias is not None:
            tensors.append(w.bias(op, f"{op.name}.bias", bias))
        w.emit("Gemm", tensors, out, transB=1)
        return
    matrix = w.weight(f"{op.name}.weight", weight.T, 1)
    product = w.emit("MatMul", [x, matrix], out if bias is None else f"{op.name}.product")
    if bias is not None:
        w.emit("Add", [product, w.constant(f"{op.name}.bias", bias)], out)


def _batch_norm(w: Writer, op: Op, out: str) -> None:
    c = op.shape[1]
    roles = ("weight", "bias", "running_mean", "running_var")
    tensors = [w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), (c,))) for role in roles]
    w.emit("BatchNormalization", [w.read(op)[0], *tensors], out, epsilon=op["eps"])


def _layer_norm(w: Writer, op: Op, out: str) -> None:
    shape = [op.shape[a] for a in op["axes"]]
    tensors = [
        w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), shape)) for role in ("weight", "bias")
    ]
    w.emit("LayerNormalization", [w.read(op)[0], *tensors], out, axis=min(op["axes"]), epsilon=op["eps"])


def _group_norm(w: Writer, op: Op, out: str) -> None:
    c = op.shape[1]
    tensors = [w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), (c,))) for role in ("weight", "bias")]
    w.emit("GroupNormalization", [w.read(op)[0], *tensors], out, num_groups=op["groups"], epsilon=op["eps"])


def _unary(kind: str, **fixed: Any) -> Rule:
    return lambda w, op, out: w.emit(kind, w.read(op)[:1], out, **fixed)


def _clip(low: float | None, high: float | None) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        bounds = (op["low"], op["high"]) if op.kind == "clamp" else (low, high)
        names = [
            "" if v is None else w.constant(f"{op.name}.{s}", v) for s, v in zip(("low", "high"), bounds, strict=True)
        ]
        w.emit("Clip", [w.read(op)[0], *names], out)

    return rule


def _silu(w: Writer, op: Op, out: str) -> None:
    x = w.read(op)[0]
    w.emit("Mul", [x, w.emit("Sigmoid", [x], f"{op.name}.gate")], out)


def _prelu(w: Writer, op: Op, out: str) -> None:
    slope = w.value(op, "weight")
    w.emit("PRelu", [w.read(op)[0], w.constant(f"{op.name}.slope", slope.reshape(-1, *[1] * (len(op.shape) - 2)))], out)


def _binary(kind: str) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        operands = w.read(op)
        key = "exponent" if kind == "Pow" else "scalar"
        if len(operands) == 1:
            operands.append(operands[0] if op.get(key) is None else w.constant(f"{op.name}.{key}", op[key]))
        w.emit(kind, operands[::-1] if op.get("reverse") else operands, out)

    return rule


def _pool(kind: str) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        size, counts = w.graph.by_name[op.inputs[0]].shape[2:], {}
        if kind == "AveragePool":
            counts = {"count_include_pad": int(op["count_include_pad"])}
        k, s, p = op["kernel"], op["stride"], op["padding"]
        d = op.get("dilation") or (1, 1)
        # what a ceiling reads beyond the padding is spelled out: runtimes differ in how they round
        after = [max(p[i], (op.shape[2 + i] - 1) * s[i] + d[i] * (k[i] - 1) + 1 - size[i] - p[i]) for i in (0, 1)]
        spread = {"dilations": list(d)} if kind == "MaxPool" else {}
        if op["ceil"] and counts.get("count_include_pad") and after != list(p):
            w.emit(kind, w.read(op), out, kernel_shape=k, strides=s, pads=[*p, *p], ceil_mode=1, **counts)
        else:
            w.emit(kind, w.read(op), out, kernel_shape=k, strides=s, pads=[*p, *after], **counts, **spread)

    return rule


def _adaptive(kind: str) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        size = w.graph.by_name[op.inputs[0]].shape[2:]
        step = [n // m for n, m in zip(size, op["size"], strict=True)]
        w.emit(kind, w.read(op), out, kernel_shape=step, strides=step)

    return rule


def _reduce(kind: str) -> Rule:
    def rule(w: Writer, op: Op, out: str) -> None:
        x, rank = w.read(op)[0], len(w.graph.by_name[op.inputs[0]].shape)
        if kind == "ReduceMean" and rank == 4 and tuple(op["axes"]) == (2, 3):
            pooled = w.emit("GlobalAveragePool", [x], out if op["keepdim"] else f"{op.name}.pooled")
            if not op["keepdim"]:
                w.emit("Flatten", [pooled], out)
            return
        axes = w.constant(f"{op.name}.axes", op["axes"], np.int64)
        w.emit(kind, [x, axes], out, keepdims=int(op["keepdim"]))

    return rule


def _reshape(w: Writer, op: Op, out: str) -> None:
    w.emit("Reshape", [w.read(op)[0], w.constant(f"{op.name}.shape", op.shape, np.int64)], out)


def _slice(w: Writer, op: Op, out: str) -> None:
    cut = [w.constant(f"{op.name}.{key}", [op[key]], np.int64) for key in ("start", "stop", "axis", "step")]
    w.emit("Slice", [w.read(op)[0], *cut], out)


def _pad(w: Writer, op: Op, out: str) -> None:
    pads = [a for a, _ in op["pads"]] + [b for _, b in op["pads"]]
    tensors = [w.constant(f"{op.name}.pads", pads, np.int64), w.constant(f"{op.name}.fill", op["value"])]
    w.emit("Pad", [w.read(op)[0], *tensors], out)


def _resize(w: Writer, op: Op, out: str) -> None:
    sizes = w.constant(f"{op.name}.sizes", op.shape, np.int64)
    place = "align_corners" if op.get("align_corners") else "pytorch_half_pixel"
    attrs: Mapping[str, Any] = {"mode": "linear", "coordinate_transformation_mode": place}
    if op["mode"] == "nearest":
        attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif op["mode"] == "bicubic":
        attrs = {**attrs, "mode": "cubic", "cubic_coeff_a": -0.75}
    w.emit("Resize", [w.read(op)[0], "", "", sizes], out, **attrs)


def _attention(w: Writer, op: Op, out: str) -> None:
    query, key, value = w.read(op)
    rank, width = len(op.shape), w.graph.by_name[op.inputs[0]].shape[-1]
    turned = w.emit("Transpose", [key], f"{op.name}.keys", perm=[*range(rank - 2), rank - 1, rank - 2])
    factor = w.constant(f"{op.name}.factor", op.get("scale") or width**-0.5)
    scores = w.emit("Mul", [w.emit("MatMul", [query, turned], f"{op.name}.scores"), factor], f"{op.name}.scaled")
    w.emit("MatMul", [w.emit("Softmax", [scores], f"{op.name}.shares", axis=-1), value], out)


RULES: Mapping[str, Rule] = {
    "conv2d": _convolution("Conv"), "conv1d": _convolution("Conv"), "conv_transpose2d": _convolution("ConvTranspose"),
    "linear": _linear, "batch_norm": _batch_norm, "layer_norm": _layer_norm, "group_norm": _group_norm,
    **{kind.lower(): _unary(kind) for kind in "Relu Sigmoid Tanh Mish Elu Softplus Exp Sqrt Abs Neg".split()},
    "relu6": _clip(0.0, 6.0), "clamp": _clip(None, None), "hard_swish": _unary("HardSwish"),
    "hard_sigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5), "silu": _silu, "prelu": _prelu,
    "gelu": lambda w, op, out: w.emit("Gelu", w.read(op), out, approximate=op.get("approximate", "none")),
    "leaky_relu": lambda w, op, out: w.emit("LeakyRelu", w.read(op), out, alpha=op["slope"]),
    "add": _binary("Add"), "sub": _binary("Sub"), "mul": _binary("Mul"), "div": _binary("Div"), "pow": _binary("Pow"),
    "maximum": _binary("Max"), "minimum": _binary("Min"), "matmul": _binary("MatMul"),
    "max_pool2d": _pool("MaxPool"), "avg_pool2d": _pool("AveragePool"),
    "adaptive_avg_pool2d": _adaptive("AveragePool"), "adaptive_max_pool2d": _adaptive("MaxPool"),
    "mean": _reduce("ReduceMean"), "sum": _reduce("ReduceSum"), "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "reshape": _reshape, "slice": _slice, "pad": _pad, "resize": _resize, "attention": _attention,
    "permute": lambda w, op, out: w.emit("Transpose", w.read(op), out, perm=list(op["axes"])),
    "concat": lambda w, op, out: w.emit("Concat", w.read(op), out, axis=op["axis"]),
    "softmax": lambda w, op, out: w.emit("Softmax", w.read(op), out, axis=op["axis"]),
    "input": lambda w, op, out: None, "param": lambda w, op, out: None,
}  # fmt: skip
