"""Runs lowered operators in torch on real numbers, from TFLite's definitions of them."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.graph import Graph
from workbench.hardware.folded_constants import FoldedConstants
from workbench.hardware.lowering import HwOp

__all__ = ["execute"]

_ACTS = {"NONE": lambda x: x, "RELU_N1_TO_1": F.hardtanh, "RELU": F.relu, "RELU6": F.relu6}
_BINARY = {
    "ADD": torch.add, "SUB": torch.sub, "MUL": torch.mul, "DIV": torch.div, "MAXIMUM": torch.maximum,
    "MINIMUM": torch.minimum, "SQUARED_DIFFERENCE": lambda a, b: (a - b) ** 2, "BATCH_MATMUL": torch.matmul,
    "GREATER": torch.gt, "GREATER_EQUAL": torch.ge,
}  # fmt: skip
_UNARY = {
    "RELU": F.relu, "RELU6": F.relu6, "RELU_N1_TO_1": F.hardtanh,
    "HARD_SWISH": F.hardswish, "LOGISTIC": torch.sigmoid, "TANH": torch.tanh,
    "EXP": torch.exp, "LOG": torch.log, "ABS": torch.abs, "SQRT": torch.sqrt, "RSQRT": torch.rsqrt,
    "QUANTIZE": lambda x: x, "DEQUANTIZE": lambda x: x, "SOFTMAX": lambda x: x.softmax(-1),
    "LOG_SOFTMAX": lambda x: x.log_softmax(-1), "REVERSE_V2": lambda x: x.flip(0),
    "L2_NORMALIZATION": lambda x: F.normalize(x, dim=-1),
}  # fmt: skip
_REDUCE = {"MEAN": torch.mean, "SUM": torch.sum, "REDUCE_MAX": torch.amax, "REDUCE_MIN": torch.amin}


def execute(graph: Graph, ops: tuple[HwOp, ...], weights: Mapping[str, Tensor], image: Tensor) -> dict[str, Tensor]:
    """Every tensor of the deployed network by name. image: (1, C, H, W), float64."""
    constants = FoldedConstants(graph, lambda name, shape: weights[name].numpy() if name in weights else None)
    made: dict[str, Tensor] = {}
    for op in ops:
        if op.kind == "INPUT":
            made[op.name] = image.permute(0, 2, 3, 1)
            continue
        y = _run(op, [made[name] for name in op.inputs], constants)
        assert tuple(y.shape) == op.shape, (op, y.shape)
        made[op.name] = _ACTS[op.act](y)
    return made


def _run(op: HwOp, x: list[Tensor], constants: FoldedConstants) -> Tensor:
    if op.weight is not None:
        return _layer(op, x[0], *(torch.tensor(v) for v in constants.layer(op)))
    if op.const is not None and op.const[0] == "values":
        for (position, _), part in zip(op.const[1], constants.parts(op), strict=True):
            x.insert(position, torch.tensor(part))
    elif op.const is not None and op.const[0] != "alpha" and op.kind != "PADV2":
        x = [torch.tensor(constants.operand(op)), *x] if op.const_first else [*x, torch.tensor(constants.operand(op))]
    if op.kind == "GELU":
        return F.gelu(x[0], approximate=constants.graph.by_name[op.sources[0]].get("approximate", "none"))
    if op.kind in _BINARY:
        return _BINARY[op.kind](*x)
    if op.kind in _UNARY:
        return _UNARY[op.kind](*x)
    if op.kind in _REDUCE:
        return _REDUCE[op.kind](x[0], op.extra[1:], bool(op.extra[0]))
    if op.kind == "SELECT":
        return torch.where(*x)
    if op.kind == "RESIZE_BILINEAR":
        y = F.interpolate(x[0].permute(0, 3, 1, 2), op.extra[:2], mode="bilinear", align_corners=op.extra[2:] == (1,))
        return y.permute(0, 2, 3, 1)
    if op.kind == "RESHAPE":
        return x[0].reshape(op.shape)
    if op.kind == "BROADCAST_TO":
        return x[0].expand(op.shape)
    if op.kind == "TRANSPOSE":
        return x[0].permute(op.extra)
    if op.kind == "CONCATENATION":
        return torch.cat(x, op.extra[0])
    if op.kind in ("SLICE", "STRIDED_SLICE"):
        axis, start, stop, step = op.extra
        return x[0][(slice(None),) * axis + (slice(start, stop, step),)]
    if op.kind in ("PAD", "PADV2", "MIRROR_PAD"):
        return _pad(op, x[0])
    if op.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        return _pool(op, x[0])
    raise NotImplementedError(op.kind)


def _layer(op: HwOp, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if op.kind == "FULLY_CONNECTED":
        return F.linear(x.reshape(-1, weight.shape[1]), weight, bias).reshape(op.shape)
    x = x.permute(0, 3, 1, 2)
    if op.kind == "TRANSPOSE_CONV":
        cut = [(k - s) // 2 if op.same else 0 for k, s in zip(op.kernel, op.stride, strict=True)]
        return F.conv_transpose2d(x, weight.transpose(0, 1), bias, op.stride, cut).permute(0, 2, 3, 1)
    x = F.pad(x, _same(op, x)) if op.same else x
    return F.conv2d(x, weight, bias, op.stride, 0, op.dilation, op.groups).permute(0, 2, 3, 1)


def _same(op: HwOp, x: Tensor) -> list[int]:
    pads = []
    for n, out, k, s, d in zip(x.shape[2:], op.shape[1:3], op.kernel, op.stride, op.dilation, strict=True):
        total = max((out - 1) * s + (k - 1) * d + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


def _pad(op: HwOp, x: Tensor) -> Tensor:
    flat = (0, 0, *op.extra, 0, 0) if len(op.extra) == len(op.shape) else op.extra
    pairs = [flat[i : i + 2] for i in range(0, len(flat), 2)]
    if op.kind == "MIRROR_PAD":
        (top, bottom), (left, right) = pairs[1:3]
        assert not any((*pairs[0], *pairs[3]))
        return F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), mode="reflect").permute(0, 2, 3, 1)
    value = 0.0 if op.kind == "PAD" else -torch.inf if op.const is None else op.const[1]
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)


def _pool(op: HwOp, x: Tensor) -> Tensor:
    x = x.permute(0, 3, 1, 2)
    if op.kind == "MAX_POOL_2D":
        x = F.pad(x, _same(op, x), value=-torch.inf) if op.same else x
        return F.max_pool2d(x, op.kernel, op.stride).permute(0, 2, 3, 1)
    pads = _same(op, x) if op.same else [0, 0, 0, 0]
    count = F.avg_pool2d(F.pad(torch.ones_like(x), pads), op.kernel, op.stride)
    return (F.avg_pool2d(F.pad(x, pads), op.kernel, op.stride) / count).permute(0, 2, 3, 1)
