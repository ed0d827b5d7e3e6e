"""Runs a Graph in torch from its kinds and attributes alone: what it says must be what the model computes."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.graph import Graph, Op

__all__ = ["execute", "tensors"]


def execute(graph: Graph, weights: Mapping[str, Tensor], *inputs: Tensor) -> list[Tensor]:
    values = tensors(graph, weights, *inputs)
    return [values[name] for name in graph.outputs]


def tensors(graph: Graph, weights: Mapping[str, Tensor], *inputs: Tensor) -> dict[str, Tensor]:
    """Every tensor of the graph by name."""
    values: dict[str, Tensor] = {}
    pending = list(inputs)
    for op in graph.ops:
        if op.kind == "input":
            values[op.name] = pending.pop(0)
            continue
        params = {p.role: weights[p.name].reshape(p.shape) for p in op.params}
        values[op.name] = _RULES[op.kind](op, [values[name] for name in op.inputs], params)
        assert tuple(values[op.name].shape) == op.shape, op
    return values


def _conv2d(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    assert tuple(p["weight"].shape[2:]) == op["kernel"]
    return F.conv2d(x[0], p["weight"], p.get("bias"), op["stride"], op["padding"], op["dilation"], op["groups"])


def _conv1d(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return F.conv1d(x[0], p["weight"], p.get("bias"), op["stride"], op["padding"], op["dilation"], op["groups"])


def _conv_transpose2d(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    shape = (op["stride"], op["padding"], op["output_padding"], op["groups"], op["dilation"])
    return F.conv_transpose2d(x[0], p["weight"], p.get("bias"), *shape)


def _batch_norm(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    statistics = (p["running_mean"], p["running_var"], p.get("weight"), p.get("bias"))
    return F.batch_norm(x[0], *statistics, eps=op["eps"])


def _binary(function: Callable[[Any, Any], Tensor]) -> Callable[..., Tensor]:
    def rule(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
        left, right = (x[0], op["scalar"]) if len(x) == 1 else x
        return function(right, left) if op.get("reverse") else function(left, right)

    return rule


def _least(left: Tensor, right: Tensor | float) -> Tensor:
    return torch.minimum(left, torch.as_tensor(right, dtype=left.dtype))


def _max_pool2d(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return F.max_pool2d(x[0], op["kernel"], op["stride"], op["padding"], op["dilation"], op["ceil"])


def _avg_pool2d(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return F.avg_pool2d(x[0], op["kernel"], op["stride"], op["padding"], op["ceil"], op["count_include_pad"])


def _reshape(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    for size, merged in zip(op.shape, op["dims"], strict=True):
        product = 1
        for d in merged or ():
            product *= x[0].shape[d]
        assert merged is None or product == size, op
    return x[0].reshape(op.shape)


def _slice(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return x[0][(slice(None),) * op["axis"] + (slice(op["start"], op["stop"], op["step"]),)]


def _pad(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return F.pad(x[0], [n for pair in reversed(op["pads"]) for n in pair], value=op["value"])


def _resize(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    corners = None if op["mode"] == "nearest" else bool(op.get("align_corners"))
    return F.interpolate(x[0], op["size"], mode=op["mode"], align_corners=corners)


def _elu(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    below = op.get("alpha", 1.0) * torch.expm1(op.get("input_scale", 1.0) * x[0])
    return op.get("scale", 1.0) * torch.where(x[0] > 0, x[0], below)


def _recurrent(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
    more = {"nonlinearity": op["activation"]} if op.kind == "rnn" else {}
    layer = kinds[op.kind](x[0].shape[-1], op.shape[-1], bias="bias_ih" in p, **more).to(x[0].dtype)
    layer.load_state_dict({f"{role}_l0": value for role, value in p.items()})
    steps = x[0].flip(0) if op["reverse"] else x[0]
    y = layer(steps, *x[1:])[0]
    return y.flip(0) if op["reverse"] else y


def _attention(op: Op, x: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    return F.scaled_dot_product_attention(*x, is_causal=bool(op.get("causal")), scale=op.get("scale"))


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda op, x, p: function(x[0])


_RULES: dict[str, Callable[[Op, list[Tensor], dict[str, Tensor]], Tensor]] = {
    "param": lambda op, x, p: p["value"],
    "conv2d": _conv2d, "conv1d": _conv1d, "conv_transpose2d": _conv_transpose2d,
    "linear": lambda op, x, p: F.linear(x[0], p["weight"], p.get("bias")),
    "batch_norm": _batch_norm,
    "layer_norm": lambda op, x, p: F.layer_norm(
        x[0], [x[0].shape[a] for a in op["axes"]], p.get("weight"), p.get("bias"), op["eps"]
    ),
    "group_norm": lambda op, x, p: F.group_norm(x[0], op["groups"], p.get("weight"), p.get("bias"), op["eps"]),
    "relu": _unary(F.relu), "relu6": _unary(F.relu6), "hard_swish": _unary(F.hardswish),
    "hard_sigmoid": _unary(F.hardsigmoid), "silu": _unary(F.silu), "sigmoid": _unary(torch.sigmoid),
    "tanh": _unary(torch.tanh), "mish": _unary(F.mish), "log": _unary(torch.log), "elu": _elu,
    "exp": _unary(torch.exp), "abs": _unary(torch.abs), "neg": _unary(torch.neg),
    "sqrt": _unary(torch.sqrt), "rsqrt": _unary(torch.rsqrt), "softplus": _unary(F.softplus),
    "gelu": lambda op, x, p: F.gelu(x[0], approximate=op.get("approximate", "none")),
    "leaky_relu": lambda op, x, p: F.leaky_relu(x[0], op["slope"]),
    "clamp": lambda op, x, p: torch.clamp(x[0], op["low"], op["high"]),
    "prelu": lambda op, x, p: F.prelu(x[0], p["weight"]),
    "pow": lambda op, x, p: x[0] ** op["exponent"],
    "add": _binary(lambda a, b: a + b), "sub": _binary(lambda a, b: a - b), "mul": _binary(lambda a, b: a * b),
    "div": _binary(lambda a, b: a / b), "maximum": _binary(torch.maximum), "minimum": _binary(_least),
    "max_pool2d": _max_pool2d, "avg_pool2d": _avg_pool2d,
    "avg_pool1d": lambda op, x, p: F.avg_pool1d(x[0], op["kernel"], op["stride"]),
    "adaptive_avg_pool2d": lambda op, x, p: F.adaptive_avg_pool2d(x[0], op["size"]),
    "adaptive_max_pool2d": lambda op, x, p: F.adaptive_max_pool2d(x[0], op["size"]),
    "mean": lambda op, x, p: x[0].mean(op["axes"], op["keepdim"]),
    "sum": lambda op, x, p: x[0].sum(op["axes"], op["keepdim"]),
    "norm": lambda op, x, p: torch.linalg.vector_norm(x[0], 2, op["axes"], op["keepdim"]),
    "var": lambda op, x, p: x[0].var(op["axes"], correction=op["correction"], keepdim=op["keepdim"]),
    "expand": lambda op, x, p: x[0].expand(op["size"]),
    "addcmul": lambda op, x, p: torch.addcmul(*x),
    "reflect_pad": lambda op, x, p: F.pad(
        x[0], [n for pair in reversed(op["pads"][2:]) for n in pair], mode="reflect"
    ),
    "roll": lambda op, x, p: x[0].roll(op["shifts"], op["axes"]),
    "rms_norm": lambda op, x, p: F.rms_norm(x[0], [x[0].shape[a] for a in op["axes"]], p.get("weight"), op["eps"]),
    "amax": lambda op, x, p: x[0].amax(op["axes"], op["keepdim"]),
    "amin": lambda op, x, p: x[0].amin(op["axes"], op["keepdim"]),
    "reshape": _reshape, "slice": _slice, "pad": _pad, "resize": _resize, "attention": _attention,
    "permute": lambda op, x, p: x[0].permute(op["axes"]),
    "concat": lambda op, x, p: torch.cat(x, op["axis"]),
    "matmul": lambda op, x, p: x[0] @ x[1],
    "log_softmax": lambda op, x, p: x[0].log_softmax(op["axis"]),
    "instance_norm": lambda op, x, p: F.instance_norm(x[0], None, None, p.get("weight"), p.get("bias"), eps=op["eps"]),
    "lstm": _recurrent, "gru": _recurrent, "rnn": _recurrent,
    "softmax": lambda op, x, p: x[0].softmax(op["axis"]),
}  # fmt: skip
