"""The ONNX file of a graph, float32 or int8 (QDQ), written straight from its operators.

Batch norms fold into the convolution before them, in float64: W' = W g / sqrt(v + e), b' = (b - m) g / sqrt(v + e)
+ beta. Everything else stays one to one (a SiLU is Sigmoid and Mul): fusing is the runtime's business.

int8: weights are int8 per output channel, in a range that no processor's kernels overflow in (`onnx_weights.py`),
feature maps uint8 per tensor with QuantizeLinear and DequantizeLinear behind every operator, which the runtime fuses
into its integer kernels where it has them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import WorkbenchError
from ..graph import Graph, Op
from ..graph.kinds import ADAPTIVE_POOLS, LAYERS, PLAIN_LAYERS, RECTIFIERS
from .onnx_rules import RULES
from .onnx_weights import quantise_weight
from .tensor_scales import Ranges
from .weight_values import Weights, parameter_values

__all__ = ["no_onnx_form", "write_onnx"]

_OPSET = 21
_IR_VERSION = 10


# the integer kernels want one scale for input and output
_KEEP = frozenset("max_pool2d reshape permute slice resize adaptive_max_pool2d".split())


def write_onnx(
    graph: Graph, weights: Weights | None = None, dtype: str = "float32", ranges: Ranges | None = None
) -> bytes:
    """The graph as an ONNX file; node and tensor names are the graph's.

    weights: as in `Target.measure_graph`. dtype: "float32" or "int8". ranges: (low, high) of graph tensors from a
    calibration run; plausible ones are made up where it is silent, which changes the values, not the time.
    Raises WorkbenchError naming the operators that have no ONNX form.

    >>> from workbench.estimators.random_networks import sample
    >>> len(write_onnx(sample(0))) > 1000
    True
    """
    missing = no_onnx_form(graph)
    if missing:
        raise WorkbenchError(f"{len(missing)} operators have no ONNX form, the first is {missing[0]!r}")
    return _Writer(graph, weights, ranges or {} if dtype == "int8" else None).run()


def no_onnx_form(graph: Graph) -> tuple[str, ...]:
    """Operators no rule is known for, as "kind path"."""
    return tuple(f"{op.kind} {op.module or op.name}" for op in graph.ops if not _has_onnx_form(graph, op))


def _has_onnx_form(graph: Graph, op: Op) -> bool:
    if op.kind in ADAPTIVE_POOLS:
        return not any(n % m for n, m in zip(graph.by_name[op.inputs[0]].shape[2:], op["size"], strict=True))
    if op.kind in LAYERS:
        return op.param("weight") is not None
    return op.kind in RULES and not op.get("causal")


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
            RULES[op.kind](self, op, last.name)
            users = self.graph.consumers[last.name]
            if len(users) == 1 and users[0].kind in RECTIFIERS and last.name not in self.graph.outputs:
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
        return parameter_values(op, role, self.weights)

    def read(self, op: Op) -> list[str]:
        return [self.at[name] for name in op.inputs]

    def weight(self, name: str, data: np.ndarray, axis: int, depthwise: bool = False) -> str:
        """A weight with its output channels along `axis`; for int8 its dequantised form."""
        if self.ranges is None:
            return self.constant(name, data)
        quantised, scale = quantise_weight(data, axis, depthwise)
        grid = [
            self.constant(f"{name}.q", quantised, np.int8),
            self.constant(f"{name}.scale", scale),
            # the runtime has no integer Gemm for a weight that leaves its zero points out
            self.constant(f"{name}.zero", np.zeros(scale.shape), np.int8),
        ]
        return self.emit("DequantizeLinear", grid, name, axis=axis)

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
        fits = op.kind in PLAIN_LAYERS and len(users) == 1 and op.name not in self.graph.outputs
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
            low, high = self.ranges.get(name, (0.0 if op.kind in RECTIFIERS else -4.0, 4.0))
            low, high = min(low, 0.0), max(high, 0.0)
            scale = max(high - low, 1e-6) / 255
            zero = round(-low / scale)
        self.scales[name] = scale, zero
        grid = [self.constant(f"{name}.scale", scale), self.constant(f"{name}.zero", zero, np.uint8)]
        quantised = self.emit("QuantizeLinear", [tensor, *grid], f"{name}.q")
        self.at[name] = self.emit("DequantizeLinear", [quantised, *grid], f"{name}.dq")
