"""The ONNX file of a graph, float32 or int8 (QDQ), written straight from its operators.

Batch norms fold into the convolution before them, in float64: W' = W g / sqrt(v + e), b' = (b - m) g / sqrt(v + e)
+ beta. Everything else stays one to one (a SiLU is Sigmoid and Mul): fusing is the runtime's business.

int8: weights are int8 per output channel, feature maps uint8 per tensor with QuantizeLinear and DequantizeLinear
behind every operator, which the runtime fuses into its integer kernels where it has them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import WorkbenchError
from ..graph import Graph, Op
from .base import Weights
from .quantisation import Ranges
from .values import value_of

__all__ = ["no_onnx_form", "write_onnx"]

_OPSET = 21
_IR_VERSION = 10


def write_onnx(
    graph: Graph, weights: Weights | None = None, dtype: str = "float32", ranges: Ranges | None = None
) -> bytes:
    """The graph as an ONNX file; node and tensor names are the graph's.

    weights: as in `Target.measure_graph`. dtype: "float32" or "int8". ranges: (low, high) of graph tensors from a
    calibration run; plausible ones are made up where it is silent, which changes the values, not the time.
    Raises WorkbenchError naming the operators that have no ONNX form.

    >>> from workbench.estimators.sampling import sample
    >>> len(write_onnx(sample(0))) > 1000
    True
    """
    missing = no_onnx_form(graph)
    if missing:
        raise WorkbenchError(f"{len(missing)} operators have no ONNX form, the first is {missing[0]!r}")
    return _Writer(graph, weights, ranges or {} if dtype == "int8" else None).run()


def no_onnx_form(graph: Graph) -> tuple[str, ...]:
    """Operators no rule is known for, as "kind path"."""
    return tuple(f"{op.kind} {op.module or op.name}" for op in graph.ops if not _known(graph, op))


def _known(graph: Graph, op: Op) -> bool:
    if op.kind in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return not any(n % m for n, m in zip(graph.by_name[op.inputs[0]].shape[2:], op["size"], strict=True))
    if op.kind in ("conv2d", "conv1d", "conv_transpose2d", "linear"):
        return op.param("weight") is not None
    return op.kind in _RULES and not op.get("causal")


class _Writer:
    """One pass; `at` maps a graph tensor to the ONNX tensor its readers read."""

    def __init__(self, graph: Graph, weights: Weights | None, ranges: Ranges | None) -> None:
        self.graph, self.weights, self.ranges = graph, weights, ranges
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.at: dict[str, str] = {}
        self.scales: dict[str, tuple[float, int]] = {}
        self.folded: dict[str, Op] = {}

    def run(self) -> bytes:
        from onnx import TensorProto, helper

        inputs, done = [], set()
        for op in self.graph.ops:
            if op.name in done:
                continue
            if op.kind == "input":
                inputs.append(helper.make_tensor_value_info(op.name, TensorProto.FLOAT, op.shape))
                self._quantised(op, op.name, op.name)
                continue
            if op.kind == "param":
                self.at[op.name] = self.constant(f"{op.name}.value", self.value(op, "value"))
                continue
            last = self._fold(op)
            done.add(last.name)
            _RULES[op.kind](self, op, last.name)
            users = self.graph.consumers[last.name]
            if len(users) == 1 and users[0].kind in ("relu", "relu6") and last.name not in self.graph.outputs:
                self.at[last.name] = last.name  # the runtime's activation fusion wants nothing in between
            else:
                self._quantised(op, last.name, last.name)
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.graph.by_name[name].shape)
            for name in dict.fromkeys(self.graph.outputs)
        ]
        body = helper.make_graph(self.nodes, "main", inputs, outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(body, opset_imports=opsets, producer_name="nas-workbench", ir_version=_IR_VERSION)
        data: bytes = model.SerializeToString()
        return data

    # ---- the pieces rules are made of -------------------------------------------------------------------------

    def emit(self, kind: str, inputs: Sequence[str], out: str, **attrs: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [out], name=out, **attrs))
        return out

    def constant(self, name: str, data: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(data, dtype, order="C"), name)
        return name

    def value(self, op: Op, role: str) -> np.ndarray:
        return value_of(op, role, self.weights)

    def read(self, op: Op) -> list[str]:
        return [self.at[name] for name in op.inputs]

    def weight(self, name: str, data: np.ndarray, axis: int) -> str:
        """A weight with its output channels along `axis`; for int8 its dequantised form."""
        if self.ranges is None:
            return self.constant(name, data)
        others = tuple(i for i in range(data.ndim) if i != axis)
        scale = np.maximum(np.abs(data).max(axis=others), 1e-8) / 127
        shape = [-1 if i == axis else 1 for i in range(data.ndim)]
        self.constant(f"{name}.q", np.clip(np.rint(data / scale.reshape(shape)), -127, 127), np.int8)
        self.constant(f"{name}.scale", scale)
        return self.emit("DequantizeLinear", [f"{name}.q", f"{name}.scale"], name, axis=axis)

    def bias(self, op: Op, name: str, data: np.ndarray) -> str:
        """A bias; for int8 an int32 one at (input scale x weight scale)."""
        if self.ranges is None or op.inputs[0] not in self.scales:
            return self.constant(name, data)
        from onnx import numpy_helper

        weight = numpy_helper.to_array(self.constants[f"{op.name}.weight.scale"])
        scale = (self.scales[op.inputs[0]][0] * weight).astype(np.float32)
        self.constant(f"{name}.q", np.clip(np.rint(data / scale), -(2**31) + 1, 2**31 - 1), np.int32)
        self.constant(f"{name}.scale", scale)
        return self.emit("DequantizeLinear", [f"{name}.q", f"{name}.scale"], name, axis=0)

    def layer(self, op: Op) -> tuple[np.ndarray, np.ndarray | None]:
        """Weight and bias (None without) with the batch norm behind it folded in."""
        weight = self.value(op, "weight")
        bias = self.value(op, "bias") if op.param("bias") is not None else None
        norm = self.folded.get(op.name)
        if norm is not None:
            gain = self.value(norm, "weight") / np.sqrt(self.value(norm, "running_var") + norm["eps"])
            gain = np.broadcast_to(gain, weight.shape[:1])
            shift = self.value(norm, "bias") - self.value(norm, "running_mean") * gain
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = shift if bias is None else bias * gain + shift
        return weight, bias

    def _fold(self, op: Op) -> Op:
        """The operator whose tensor results: the batch norm that folds into `op`, or `op` itself."""
        users = self.graph.consumers[op.name]
        fits = op.kind in ("conv2d", "linear") and len(users) == 1 and op.name not in self.graph.outputs
        if not fits or users[0].kind != "batch_norm" or (op.kind == "linear" and len(op.shape) != 2):
            return op
        self.folded[op.name] = users[0]
        return users[0]

    def _quantised(self, op: Op, name: str, tensor: str) -> None:
        self.at[name] = tensor
        if self.ranges is None or name in self.graph.outputs or not self.graph.consumers[name]:
            return
        if op.kind in _KEEP and op.inputs[0] in self.scales:
            scale, zero = self.scales[op.inputs[0]]
        else:
            low, high = self.ranges.get(name, (0.0 if op.kind in ("relu", "relu6") else -4.0, 4.0))
            low, high = min(low, 0.0), max(high, 0.0)
            scale = max(high - low, 1e-6) / 255
            zero = round(-low / scale)
        self.scales[name] = scale, zero
        grid = [self.constant(f"{name}.scale", scale), self.constant(f"{name}.zero", zero, np.uint8)]
        quantised = self.emit("QuantizeLinear", [tensor, *grid], f"{name}.q")
        self.at[name] = self.emit("DequantizeLinear", [quantised, *grid], f"{name}.dq")


Rule = Callable[[_Writer, Op, str], object]

# the integer kernels want one scale for input and output
_KEEP = frozenset("max_pool2d reshape permute slice resize adaptive_max_pool2d".split())


def _convolution(kind: str) -> Rule:
    def rule(w: _Writer, op: Op, out: str) -> None:
        weight, bias = w.layer(op)
        x, axis = w.read(op)[0], int(kind == "ConvTranspose")
        tensors = [x, w.weight(f"{op.name}.weight", weight, axis)]
        if bias is not None:
            tensors.append(w.bias(op, f"{op.name}.bias", bias))
        pair: Callable[[Any], list[int]] = lambda v: [v] if isinstance(v, int) else list(v)  # noqa: E731
        attrs = {"output_padding": pair(op["output_padding"])} if axis else {}
        w.emit(
            kind, tensors, out, kernel_shape=list(weight.shape[2:]), strides=pair(op["stride"]),
            pads=pair(op["padding"]) * 2, dilations=pair(op["dilation"]), group=op["groups"], **attrs,
        )  # fmt: skip

    return rule


def _linear(w: _Writer, op: Op, out: str) -> None:
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


def _batch_norm(w: _Writer, op: Op, out: str) -> None:
    c = op.shape[1]
    roles = ("weight", "bias", "running_mean", "running_var")
    tensors = [w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), (c,))) for role in roles]
    w.emit("BatchNormalization", [w.read(op)[0], *tensors], out, epsilon=op["eps"])


def _layer_norm(w: _Writer, op: Op, out: str) -> None:
    shape = [op.shape[a] for a in op["axes"]]
    tensors = [
        w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), shape)) for role in ("weight", "bias")
    ]
    w.emit("LayerNormalization", [w.read(op)[0], *tensors], out, axis=min(op["axes"]), epsilon=op["eps"])


def _group_norm(w: _Writer, op: Op, out: str) -> None:
    c = op.shape[1]
    tensors = [w.constant(f"{op.name}.{role}", np.broadcast_to(w.value(op, role), (c,))) for role in ("weight", "bias")]
    w.emit("GroupNormalization", [w.read(op)[0], *tensors], out, num_groups=op["groups"], epsilon=op["eps"])


def _unary(kind: str, **fixed: Any) -> Rule:
    return lambda w, op, out: w.emit(kind, w.read(op)[:1], out, **fixed)


def _clip(low: float | None, high: float | None) -> Rule:
    def rule(w: _Writer, op: Op, out: str) -> None:
        bounds = (op["low"], op["high"]) if op.kind == "clamp" else (low, high)
        names = [
            "" if v is None else w.constant(f"{op.name}.{s}", v) for s, v in zip(("low", "high"), bounds, strict=True)
        ]
        w.emit("Clip", [w.read(op)[0], *names], out)

    return rule


def _silu(w: _Writer, op: Op, out: str) -> None:
    x = w.read(op)[0]
    w.emit("Mul", [x, w.emit("Sigmoid", [x], f"{op.name}.gate")], out)


def _prelu(w: _Writer, op: Op, out: str) -> None:
    slope = w.value(op, "weight")
    w.emit("PRelu", [w.read(op)[0], w.constant(f"{op.name}.slope", slope.reshape(-1, *[1] * (len(op.shape) - 2)))], out)


def _binary(kind: str) -> Rule:
    def rule(w: _Writer, op: Op, out: str) -> None:
        operands = w.read(op)
        key = "exponent" if kind == "Pow" else "scalar"
        if len(operands) == 1:
            operands.append(operands[0] if op.get(key) is None else w.constant(f"{op.name}.{key}", op[key]))
        w.emit(kind, operands[::-1] if op.get("reverse") else operands, out)

    return rule


def _pool(kind: str) -> Rule:
    def rule(w: _Writer, op: Op, out: str) -> None:
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
    def rule(w: _Writer, op: Op, out: str) -> None:
        size = w.graph.by_name[op.inputs[0]].shape[2:]
        step = [n // m for n, m in zip(size, op["size"], strict=True)]
        w.emit(kind, w.read(op), out, kernel_shape=step, strides=step)

    return rule


def _reduce(kind: str) -> Rule:
    def rule(w: _Writer, op: Op, out: str) -> None:
        x, rank = w.read(op)[0], len(w.graph.by_name[op.inputs[0]].shape)
        if kind == "ReduceMean" and rank == 4 and tuple(op["axes"]) == (2, 3):
            pooled = w.emit("GlobalAveragePool", [x], out if op["keepdim"] else f"{op.name}.pooled")
            if not op["keepdim"]:
                w.emit("Flatten", [pooled], out)
            return
        axes = w.constant(f"{op.name}.axes", op["axes"], np.int64)
        w.emit(kind, [x, axes], out, keepdims=int(op["keepdim"]))

    return rule


def _reshape(w: _Writer, op: Op, out: str) -> None:
    w.emit("Reshape", [w.read(op)[0], w.constant(f"{op.name}.shape", op.shape, np.int64)], out)


def _slice(w: _Writer, op: Op, out: str) -> None:
    cut = [w.constant(f"{op.name}.{key}", [op[key]], np.int64) for key in ("start", "stop", "axis", "step")]
    w.emit("Slice", [w.read(op)[0], *cut], out)


def _pad(w: _Writer, op: Op, out: str) -> None:
    pads = [a for a, _ in op["pads"]] + [b for _, b in op["pads"]]
    tensors = [w.constant(f"{op.name}.pads", pads, np.int64), w.constant(f"{op.name}.fill", op["value"])]
    w.emit("Pad", [w.read(op)[0], *tensors], out)


def _resize(w: _Writer, op: Op, out: str) -> None:
    sizes = w.constant(f"{op.name}.sizes", op.shape, np.int64)
    place = "align_corners" if op.get("align_corners") else "pytorch_half_pixel"
    attrs: Mapping[str, Any] = {"mode": "linear", "coordinate_transformation_mode": place}
    if op["mode"] == "nearest":
        attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif op["mode"] == "bicubic":
        attrs = {**attrs, "mode": "cubic", "cubic_coeff_a": -0.75}
    w.emit("Resize", [w.read(op)[0], "", "", sizes], out, **attrs)


def _attention(w: _Writer, op: Op, out: str) -> None:
    query, key, value = w.read(op)
    rank, width = len(op.shape), w.graph.by_name[op.inputs[0]].shape[-1]
    turned = w.emit("Transpose", [key], f"{op.name}.keys", perm=[*range(rank - 2), rank - 1, rank - 2])
    factor = w.constant(f"{op.name}.factor", op.get("scale") or width**-0.5)
    scores = w.emit("Mul", [w.emit("MatMul", [query, turned], f"{op.name}.scores"), factor], f"{op.name}.scaled")
    w.emit("MatMul", [w.emit("Softmax", [scores], f"{op.name}.shares", axis=-1), value], out)


_RULES: Mapping[str, Rule] = {
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
    "reshape": _reshape, "slice": _slice, "pad": _pad, "resize": _resize, "attention": _attention,
    "permute": lambda w, op, out: w.emit("Transpose", w.read(op), out, perm=list(op["axes"])),
    "concat": lambda w, op, out: w.emit("Concat", w.read(op), out, axis=op["axis"]),
    "softmax": lambda w, op, out: w.emit("Softmax", w.read(op), out, axis=op["axis"]),
    "input": lambda w, op, out: None, "param": lambda w, op, out: None,
}  # fmt: skip
