"""PyTorch on the GPU at hand, where there is one: the graph's operators in torch, timed by the GPU's own clock.

The network is captured as one CUDA graph, as a deployed engine runs, so that Python's own time is not in the figure.
"""

import json
import operator
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from hashlib import sha256
from os import PathLike
from typing import Any

from ..errors import InputError, WorkbenchError, unknown
from ..graph import Graph, Op
from .measurement import Measurement
from .target import Target
from .weight_values import Weights, parameter_values

__all__ = ["TorchCuda", "gpu_name", "run_graph"]

_DTYPES = ("float16", "float32")


@cache
def gpu_name() -> str | None:
    """The first GPU's name, None where there is none."""
    if shutil.which("nvidia-smi") is None:  # first of all: importing torch takes seconds
        return None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


@dataclass(frozen=True)
class TorchCuda(Target):
    """The first GPU of this machine. dtype: "float16" or "float32". rounds, runs: how often a network is timed."""

    dtype: str = "float16"
    rounds: int = 8
    runs: int = 50

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise unknown("dtype", self.dtype, _DTYPES)
        if min(self.rounds, self.runs) < 1:
            raise InputError(f"rounds and runs are {self.rounds} and {self.runs}; both must be at least 1")

    @property
    def name(self) -> str:
        return "torch-cuda" if self == TorchCuda() else f"torch-cuda ({self.dtype}, {self.rounds} x {self.runs})"

    @cached_property
    def digest(self) -> str:
        content = {**asdict(self), "compiler": self.compiler, "gpu": gpu_name()}
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def compiler(self) -> str:
        from importlib.metadata import version

        return f"torch {version('torch')}"

    @property
    def channel_multiple(self) -> int:
        """8: what tensor cores want of float16."""
        return 8

    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = 120.0) -> Measurement:
        """Refused: a file torch can run is a program, and files are data here."""
        return self._refused("torch-cuda times graphs, not files; onnxruntime-cpu times .onnx files")

    def measure_graph(self, graph: Graph, weights: Weights | None = None, time_limit_s: float = 120.0) -> Measurement:
        """Run the graph on the GPU and time it; the quickest round counts."""
        if gpu_name() is None:
            return self._refused("this machine has no GPU that torch can use")
        try:
            rounds = self._timed(graph, weights)
        except WorkbenchError as error:
            return self._refused(str(error))
        return Measurement(
            "measured", self.name, kind="measured", latency_ms=min(rounds), rounds_ms=rounds, compiler=self.compiler
        )

    def _timed(self, graph: Graph, weights: Weights | None) -> tuple[float, ...]:
        import torch

        dtype = getattr(torch, self.dtype)
        feeds = [torch.randn(op.shape, device="cuda", dtype=dtype) for op in graph.inputs]
        call = run_graph(graph, weights, "cuda", self.dtype)
        stream = torch.cuda.Stream()
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(3):
                call(*feeds)
        torch.cuda.synchronize()
        captured = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(captured):
            call(*feeds)
        rounds = []
        for _ in range(self.rounds):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(self.runs):
                captured.replay()
            end.record()
            torch.cuda.synchronize()
            rounds.append(start.elapsed_time(end) / self.runs)
        return tuple(rounds)

    def _refused(self, reason: str) -> Measurement:
        return Measurement("refused", self.name, reason, kind="measured", compiler=self.compiler)


def run_graph(graph: Graph, weights: Weights | None, device: str, dtype: str = "float32") -> Callable[..., list[Any]]:
    """A function from the inputs to the outputs, weights already on the device.

    Raises WorkbenchError naming the operators no rule is known for.
    """
    import torch

    rules = _rules()
    missing = [f"{op.kind} {op.module or op.name}" for op in graph.ops if op.kind not in rules and op.kind != "input"]
    if missing:
        raise WorkbenchError(f"{len(missing)} operators have no torch form, the first is {missing[0]!r}")
    kind = getattr(torch, dtype)
    held = {
        op.name: {
            p.role: torch.tensor(parameter_values(op, p.role, weights)).to(device, kind).reshape(p.shape)
            for p in op.params
        }
        for op in graph.ops
    }

    def call(*inputs: Any) -> list[Any]:
        waiting = iter(inputs)
        values: dict[str, Any] = {}
        for op in graph.ops:
            read = [values[name] for name in op.inputs]
            values[op.name] = next(waiting) if op.kind == "input" else rules[op.kind](op, read, held[op.name])
        return [values[name] for name in graph.outputs]

    return call


# (operator, its inputs, its parameters by role) -> its result
_Rule = Callable[[Op, list[Any], Mapping[str, Any]], Any]


@cache
def _rules() -> Mapping[str, _Rule]:
    return {**_elementwise(), **_layers(), **_pools(), **_shapes()}


def _elementwise() -> dict[str, _Rule]:
    import torch
    from torch.nn import functional as F

    def unary(function: Callable[[Any], Any]) -> _Rule:
        return lambda op, x, p: function(x[0])

    def binary(function: Callable[[Any, Any], Any]) -> _Rule:
        def rule(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
            left, right = (x[0], op["scalar"]) if op.get("scalar") is not None else (x[0], x[-1])
            return function(right, left) if op.get("reverse") else function(left, right)

        return rule

    unary_functions: Mapping[str, Callable[[Any], Any]] = {
        "relu": F.relu, "relu6": F.relu6, "hard_swish": F.hardswish, "hard_sigmoid": F.hardsigmoid, "silu": F.silu,
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "mish": F.mish, "elu": F.elu, "exp": torch.exp, "abs": torch.abs,
        "neg": torch.neg, "sqrt": torch.sqrt, "softplus": F.softplus,
    }  # fmt: skip
    # Python's own operators take a number on the left, which torch's functions do not
    binary_functions: Mapping[str, Callable[[Any, Any], Any]] = {
        "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
        "maximum": torch.maximum, "minimum": torch.minimum,
    }  # fmt: skip
    return {
        **{name: unary(function) for name, function in unary_functions.items()},
        **{name: binary(function) for name, function in binary_functions.items()},
        "gelu": lambda op, x, p: F.gelu(x[0], approximate=op.get("approximate", "none")),
        "leaky_relu": lambda op, x, p: F.leaky_relu(x[0], op["slope"]),
        "clamp": lambda op, x, p: torch.clamp(x[0], op["low"], op["high"]),
        "prelu": lambda op, x, p: F.prelu(x[0], p["weight"]),
        "pow": lambda op, x, p: x[0] ** op["exponent"],
        "softmax": lambda op, x, p: x[0].softmax(op["axis"]),
    }


def _layers() -> dict[str, _Rule]:
    """Layers, norms and products of matrices."""
    from torch.nn import functional as F

    def conv2d(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return F.conv2d(x[0], p["weight"], p.get("bias"), op["stride"], op["padding"], op["dilation"], op["groups"])

    def batch_norm(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return F.batch_norm(x[0], p["running_mean"], p["running_var"], p.get("weight"), p.get("bias"), eps=op["eps"])

    def layer_norm(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return F.layer_norm(x[0], [x[0].shape[a] for a in op["axes"]], p.get("weight"), p.get("bias"), op["eps"])

    return {
        "conv2d": conv2d,
        "linear": lambda op, x, p: F.linear(x[0], p["weight"], p.get("bias")),
        "batch_norm": batch_norm,
        "layer_norm": layer_norm,
        "group_norm": lambda op, x, p: F.group_norm(x[0], op["groups"], p.get("weight"), p.get("bias"), op["eps"]),
        "matmul": lambda op, x, p: x[0] @ x[1],
        "attention": lambda op, x, p: F.scaled_dot_product_attention(
            x[0], x[1], x[2], is_causal=bool(op.get("causal")), scale=op.get("scale")
        ),
    }


def _pools() -> dict[str, _Rule]:
    """Pools and reductions."""
    from torch.nn import functional as F

    def avg_pool2d(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return F.avg_pool2d(x[0], op["kernel"], op["stride"], op["padding"], op["ceil"], op["count_include_pad"])

    def max_pool2d(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return F.max_pool2d(x[0], op["kernel"], op["stride"], op["padding"], op["dilation"], op["ceil"])

    return {
        "max_pool2d": max_pool2d,
        "avg_pool2d": avg_pool2d,
        "adaptive_avg_pool2d": lambda op, x, p: F.adaptive_avg_pool2d(x[0], op["size"]),
        "adaptive_max_pool2d": lambda op, x, p: F.adaptive_max_pool2d(x[0], op["size"]),
        "mean": lambda op, x, p: x[0].mean(op["axes"], op["keepdim"]),
        "sum": lambda op, x, p: x[0].sum(op["axes"], op["keepdim"]),
        "amax": lambda op, x, p: x[0].amax(op["axes"], op["keepdim"]),
    }


def _shapes() -> dict[str, _Rule]:
    """Changes of shape, order and size."""
    import torch
    from torch.nn import functional as F

    def cut(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        return x[0][(slice(None),) * op["axis"] + (slice(op["start"], op["stop"], op["step"]),)]

    def resize(op: Op, x: list[Any], p: Mapping[str, Any]) -> Any:
        corners = None if op["mode"] == "nearest" else bool(op.get("align_corners"))
        return F.interpolate(x[0], op["size"], mode=op["mode"], align_corners=corners)

    return {
        "param": lambda op, x, p: p["value"],
        "reshape": lambda op, x, p: x[0].reshape(op.shape),
        "slice": cut,
        "pad": lambda op, x, p: F.pad(x[0], [n for ends in reversed(op["pads"]) for n in ends], value=op["value"]),
        "resize": resize,
        "permute": lambda op, x, p: x[0].permute(op["axes"]),
        "concat": lambda op, x, p: torch.cat(x, op["axis"]),
    }
