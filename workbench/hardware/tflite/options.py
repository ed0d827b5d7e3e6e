"""The options table of each operator kind."""

from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
from ethosu.vela.tflite import (
    AddOptions,
    BatchMatMulOptions,
    BuiltinOptions,
    ConcatenationOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    DivOptions,
    FullyConnectedOptions,
    GeluOptions,
    L2NormOptions,
    LeakyReluOptions,
    MirrorPadOptions,
    MulOptions,
    Pool2DOptions,
    ReducerOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SoftmaxOptions,
    SubOptions,
    TransposeConvOptions,
)

from ..lowering import HwOp

__all__ = ["add_options"]

_ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}  # the schema's ActivationFunctionType
_SAME, _VALID = 0, 1  # its Padding
_REFLECT = 0  # its MirrorPadMode


def add_options(builder: flatbuffers.Builder, op: HwOp) -> tuple[int, int] | None:
    """Write the operator's options table: its type in the schema and its offset; None where the kind has none."""
    if op.kind not in _TABLES:
        return None
    module, values = _TABLES[op.kind]
    name = module.__name__.rpartition(".")[2]
    getattr(module, f"{name}Start")(builder)
    for key, value in values(op).items():
        getattr(module, f"{name}Add{key}")(builder, value)
    return getattr(BuiltinOptions.BuiltinOptions, name), getattr(module, f"{name}End")(builder)


def _activation(op: HwOp) -> dict[str, Any]:
    return {"FusedActivationFunction": _ACTIVATIONS[op.act]}


def _window(op: HwOp) -> dict[str, Any]:
    (h, w), padding = op.stride, _SAME if op.same else _VALID
    return {"Padding": padding, "StrideH": h, "StrideW": w, **_activation(op)}


def _convolution(op: HwOp) -> dict[str, Any]:
    return _window(op) | {"DilationHFactor": op.dilation[0], "DilationWFactor": op.dilation[1]}


def _depthwise(op: HwOp) -> dict[str, Any]:
    assert op.weight is not None
    return _convolution(op) | {"DepthMultiplier": op.weight[3] // op.groups}


def _pool(op: HwOp) -> dict[str, Any]:
    return _window(op) | {"FilterHeight": op.kernel[0], "FilterWidth": op.kernel[1]}


def _fully_connected(op: HwOp) -> dict[str, Any]:
    return _activation(op) | {"KeepNumDims": len(op.shape) > 2}


def _reduction(op: HwOp) -> dict[str, Any]:
    return {"KeepDims": bool(op.extra[0])}


def _leaky_relu(op: HwOp) -> dict[str, Any]:
    assert op.const is not None
    return {"Alpha": op.const[1]}


def _bilinear(op: HwOp) -> dict[str, Any]:
    aligned = op.extra[2:] == (1,)
    return {"AlignCorners": aligned, "HalfPixelCenters": not aligned}


# kind -> the schema's module of its table, and the table's fields
_TABLES: Mapping[str, tuple[Any, Callable[[HwOp], dict[str, Any]]]] = {
    "ADD": (AddOptions, _activation),
    "AVERAGE_POOL_2D": (Pool2DOptions, _pool),
    "BATCH_MATMUL": (BatchMatMulOptions, lambda op: {"AdjX": False}),
    "CONCATENATION": (ConcatenationOptions, lambda op: {"Axis": op.extra[0]}),
    "CONV_2D": (Conv2DOptions, _convolution),
    "DEPTHWISE_CONV_2D": (DepthwiseConv2DOptions, _depthwise),
    "DIV": (DivOptions, _activation),
    "FULLY_CONNECTED": (FullyConnectedOptions, _fully_connected),
    "GELU": (GeluOptions, lambda op: {"Approximate": False}),
    "L2_NORMALIZATION": (L2NormOptions, lambda op: {"FusedActivationFunction": 0}),
    "LEAKY_RELU": (LeakyReluOptions, _leaky_relu),
    "MAX_POOL_2D": (Pool2DOptions, _pool),
    "MEAN": (ReducerOptions, _reduction),
    "MIRROR_PAD": (MirrorPadOptions, lambda op: {"Mode": _REFLECT}),
    "MUL": (MulOptions, _activation),
    "REDUCE_MAX": (ReducerOptions, _reduction),
    "REDUCE_MIN": (ReducerOptions, _reduction),
    "RESIZE_BILINEAR": (ResizeBilinearOptions, _bilinear),
    "RESIZE_NEAREST_NEIGHBOR": (ResizeNearestNeighborOptions, lambda op: {"HalfPixelCenters": False}),
    "SOFTMAX": (SoftmaxOptions, lambda op: {"Beta": 1.0}),
    "SUB": (SubOptions, _activation),
    "SUM": (ReducerOptions, _reduction),
    "TRANSPOSE_CONV": (TransposeConvOptions, _window),
}
