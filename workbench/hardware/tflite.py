"""The int8 TFLite file of a graph: what the compiler is fed.

Weights are int8 per output channel, biases int32 at (input scale x weight scale), feature maps int8 per tensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (
    AddOptions,
    BatchMatMulOptions,
    Buffer,
    BuiltinOperator,
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
    Model,
    MulOptions,
    Operator,
    OperatorCode,
    Pool2DOptions,
    QuantizationParameters,
    ReducerOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SoftmaxOptions,
    SubGraph,
    SubOptions,
    Tensor,
    TransposeConvOptions,
)

from ..errors import WorkbenchError
from ..graph import Graph
from .base import Weights
from .constants import Constants
from .lowering import HwOp, lower, unsupported
from .quantisation import Ranges, Scale, assign_scales, scale_of

__all__ = ["TfliteFile", "write_tflite"]

_ACTS = {"NONE": 0, "RELU": 1, "RELU6": 3}
_INT8, _INT32, _FLOAT = 9, 2, 0
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5, "BATCH_MATMUL": 2, "HARD_SWISH": 1, "GELU": 2}


@dataclass(frozen=True)
class TfliteFile:
    """data: the flatbuffer. sources: for each of its operators, in order, the graph operator it is charged to."""

    data: bytes
    sources: tuple[str, ...]


def write_tflite(graph: Graph, weights: Weights | None = None, ranges: Ranges | None = None) -> TfliteFile:
    """The graph as an int8 TFLite file.

    weights: (state_dict key, shape) -> float32 values, or None for unknown ones, which are drawn from a normal
    distribution seeded by their name (fan-in scaled). ranges: (low, high) of graph tensors from a calibration run.
    Raises WorkbenchError naming the operators no rule is known for.
    """
    ops = lower(graph)
    missing = unsupported(ops)
    if missing:
        raise WorkbenchError(f"{len(missing)} operators have no int8 TFLite form, the first is {missing[0]!r}")
    ops, scales = assign_scales(ops, ranges)
    writer = _Writer(graph, Constants(graph, weights), scales)
    return TfliteFile(writer.write(ops), tuple(op.sources[0] for op in ops if op.kind != "INPUT"))


def _quantised(data: np.ndarray, scale: Scale) -> np.ndarray:
    return np.clip(np.rint(data / scale.scale) + scale.zero, -128, 127).astype(np.int8)


class _Writer:
    """Builds one flatbuffer; constants are tensors of their own, feature maps one tensor an operator."""

    def __init__(self, graph: Graph, values: Constants, scales: Any) -> None:
        self.graph, self.values, self.scales = graph, values, scales
        self.builder = flatbuffers.Builder(1 << 20)
        self.tensors: list[int] = []
        self.buffers: list[int] = []
        self.codes: dict[str, int] = {}
        self.at: dict[str, int] = {}

    def write(self, ops: Sequence[HwOp]) -> bytes:
        b = self.builder
        self._buffer(None)  # buffer 0 is the empty one, by convention
        operators, shapes = [], {op.name: op.shape for op in ops}
        for op in ops:
            if op.kind == "INPUT":
                self._map(op)
                continue
            inputs = [self.at[name] for name in op.inputs]
            constants = self._constants(op, shapes)
            if op.kind == "TRANSPOSE_CONV":  # its sizes and weights stand before the map
                size = self._constant(f"{op.name}/size", np.array(op.shape, dtype=np.int32))
                inputs, constants = [size, constants[0], *inputs], constants[1:]
            if op.const is not None and op.const[0] == "values":
                for position, tensor in zip((k for k, _ in op.const[1]), constants, strict=True):  # type: ignore[attr-defined]
                    inputs.insert(position, tensor)
            else:
                inputs = constants + inputs if op.const_first else inputs + constants
            self._map(op)
            operators.append(self._operator(op, inputs))
        inputs = [self.at[op.name] for op in ops if op.kind == "INPUT"]
        outputs = [self.at[op.name] for op in ops if set(op.sources) & set(self.graph.outputs) and op.name in self.at]
        last = {op.name for op in ops} - {name for op in ops for name in op.inputs}
        outputs = [i for i in outputs if i in {self.at[name] for name in last}] or [self.at[ops[-1].name]]
        tensors = self._offsets(SubGraph.SubGraphStartTensorsVector, self.tensors)
        ins, outs = b.CreateNumpyVector(np.array(inputs, np.int32)), b.CreateNumpyVector(np.array(outputs, np.int32))
        rows = self._offsets(SubGraph.SubGraphStartOperatorsVector, operators)
        name = b.CreateString("main")
        SubGraph.SubGraphStart(b)
        SubGraph.SubGraphAddTensors(b, tensors)
        SubGraph.SubGraphAddInputs(b, ins)
        SubGraph.SubGraphAddOutputs(b, outs)
        SubGraph.SubGraphAddOperators(b, rows)
        SubGraph.SubGraphAddName(b, name)
        subgraphs = self._offsets(Model.ModelStartSubgraphsVector, [SubGraph.SubGraphEnd(b)])
        codes = self._offsets(Model.ModelStartOperatorCodesVector, [self._code(kind) for kind in self.codes])
        buffers = self._offsets(Model.ModelStartBuffersVector, self.buffers)
        text = b.CreateString("nas-workbench")
        Model.ModelStart(b)
        Model.ModelAddVersion(b, 3)
        Model.ModelAddOperatorCodes(b, codes)
        Model.ModelAddSubgraphs(b, subgraphs)
        Model.ModelAddDescription(b, text)
        Model.ModelAddBuffers(b, buffers)
        b.Finish(Model.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    # ---- tensors ------------------------------------------------------------------------------------------------

    def _map(self, op: HwOp) -> None:
        if op.real:
            self.at[op.name] = self._tensor(op.name, op.shape, _FLOAT, 0)
        else:
            self.at[op.name] = self._tensor(op.name, op.shape, _INT8, 0, [self.scales[op.name]])

    def _buffer(self, data: np.ndarray | None) -> int:
        b = self.builder
        vector = (
            b.CreateNumpyVector(np.ascontiguousarray(data).reshape(-1).view(np.uint8)) if data is not None else None
        )
        Buffer.BufferStart(b)
        if vector is not None:
            Buffer.BufferAddData(b, vector)
        self.buffers.append(Buffer.BufferEnd(b))
        return len(self.buffers) - 1

    def _constant(self, name: str, data: np.ndarray, scales: Sequence[Scale] = (), axis: int = 0) -> int:
        kind = _INT8 if data.dtype == np.int8 else _INT32
        return self._tensor(name, data.shape, kind, self._buffer(data), scales, axis)

    def _tensor(
        self, name: str, shape: Sequence[int], kind: int, buffer: int, scales: Sequence[Scale] = (), axis: int = 0
    ) -> int:
        b = self.builder
        quantization = None
        if scales:
            factors = b.CreateNumpyVector(np.array([s.scale for s in scales], np.float32))
            zeros = b.CreateNumpyVector(np.array([s.zero for s in scales], np.int64))
            QuantizationParameters.QuantizationParametersStart(b)
            QuantizationParameters.QuantizationParametersAddScale(b, factors)
            QuantizationParameters.QuantizationParametersAddZeroPoint(b, zeros)
            QuantizationParameters.QuantizationParametersAddQuantizedDimension(b, axis)
            quantization = QuantizationParameters.QuantizationParametersEnd(b)
        text, dims = b.CreateString(name), b.CreateNumpyVector(np.array(shape, dtype=np.int32))
        Tensor.TensorStart(b)
        Tensor.TensorAddShape(b, dims)
        Tensor.TensorAddType(b, kind)
        Tensor.TensorAddBuffer(b, buffer)
        Tensor.TensorAddName(b, text)
        if quantization is not None:
            Tensor.TensorAddQuantization(b, quantization)
        self.tensors.append(Tensor.TensorEnd(b))
        return len(self.tensors) - 1

    # ---- constants of an operator ---------------------------------------------------------------------------------

    def _constants(self, op: HwOp, shapes: dict[str, tuple[int, ...]]) -> list[int]:
        def ints(*data: Any) -> list[int]:
            return [self._constant(f"{op.name}/{i}", np.array(d, dtype=np.int32)) for i, d in enumerate(data)]

        if op.weight is not None:
            return self._layer(op)
        if op.kind in ("PAD", "PADV2", "MIRROR_PAD"):
            flat = (0, 0, *op.extra, 0, 0) if len(op.extra) == len(op.shape) else op.extra
            pads = ints(np.reshape(flat, (-1, 2)))
            if op.kind != "PADV2":
                return pads
            least = -np.inf if op.const is None else op.const[1]  # a max pool must never see its border
            scale = self.scales[op.name]
            return [*pads, self._constant(f"{op.name}/value", _quantised(np.asarray(least), scale), [scale])]
        if op.kind in ("MEAN", "SUM", "REDUCE_MAX"):
            return ints(op.extra[1:])
        if op.kind in ("TRANSPOSE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            return ints(op.extra)
        if op.kind in ("RESHAPE", "BROADCAST_TO"):
            return ints(op.shape)
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            axis, start, stop, step = op.extra
            source = shapes[op.inputs[0]]
            begin = [start if i == axis else 0 for i in range(len(source))]
            if op.kind == "SLICE":
                return ints(begin, op.shape)
            end = [stop if i == axis else n for i, n in enumerate(source)]
            return ints(begin, end, [step if i == axis else 1 for i in range(len(source))])
        if op.const is not None and op.const[0] != "alpha":
            return self._operand(op)
        return []

    def _layer(self, op: HwOp) -> list[int]:
        weight, bias = self.values.layer(op)
        if op.kind in ("CONV_2D", "TRANSPOSE_CONV"):
            weight = weight.transpose(0, 2, 3, 1)
        elif op.kind == "DEPTHWISE_CONV_2D":
            weight = weight.transpose(1, 2, 3, 0)
        axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
        peak = np.abs(weight).max(axis=tuple(i for i in range(weight.ndim) if i != axis))
        factors = np.where(peak > 0, peak, 1.0) / 127
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        quantised = np.clip(np.rint(weight / factors.reshape(shape)), -127, 127).astype(np.int8)
        assert quantised.shape == op.weight, f"{op.name}: {quantised.shape} is not {op.weight}"
        bias_factors = factors * self.scales[op.inputs[0]].scale
        whole = np.clip(np.rint(bias / bias_factors), -(2**31), 2**31 - 1).astype(np.int32)
        return [
            self._constant(f"{op.name}/weight", quantised, [Scale(float(f), 0) for f in factors], axis),
            self._constant(f"{op.name}/bias", whole, [Scale(float(f), 0) for f in bias_factors]),
        ]

    def _operand(self, op: HwOp) -> list[int]:
        assert op.const is not None
        if op.const[0] == "values":  # parts of a concatenation stand at its scale
            scale, parts = self.scales[op.name], [self.values.value(name) for _, name in op.const[1]]  # type: ignore[attr-defined]
            return [
                self._constant(f"{op.name}/part{i}", _quantised(part, scale), [scale]) for i, part in enumerate(parts)
            ]
        data = self.values.operand(op)
        scale = scale_of(float(data.min()), float(data.max()))
        return [self._constant(f"{op.name}/operand", _quantised(data, scale), [scale])]

    # ---- operators --------------------------------------------------------------------------------------------------

    def _operator(self, op: HwOp, inputs: Sequence[int]) -> int:
        b = self.builder
        options = self._options(op)
        index = self.codes.setdefault(op.kind, len(self.codes))
        ins = b.CreateNumpyVector(np.array(inputs, dtype=np.int32))
        outs = b.CreateNumpyVector(np.array([self.at[op.name]], dtype=np.int32))
        Operator.OperatorStart(b)
        Operator.OperatorAddOpcodeIndex(b, index)
        Operator.OperatorAddInputs(b, ins)
        Operator.OperatorAddOutputs(b, outs)
        if options is not None:
            Operator.OperatorAddBuiltinOptionsType(b, options[0])
            Operator.OperatorAddBuiltinOptions(b, options[1])
        return Operator.OperatorEnd(b)

    def _options(self, op: HwOp) -> tuple[int, int] | None:
        act, padding = _ACTS[op.act], 0 if op.same else 1
        (sh, sw), (dh, dw), (kh, kw) = op.stride, op.dilation, op.kernel
        space: dict[str, Any] = {"Padding": padding, "StrideH": sh, "StrideW": sw, "FusedActivationFunction": act}
        spread = {"DilationHFactor": dh, "DilationWFactor": dw}
        if op.kind == "CONV_2D":
            return self._table(Conv2DOptions, "Conv2DOptions", **space, **spread)
        if op.kind == "DEPTHWISE_CONV_2D":
            assert op.weight is not None
            multiplier = op.weight[3] // op.groups
            return self._table(
                DepthwiseConv2DOptions, "DepthwiseConv2DOptions", **space, **spread, DepthMultiplier=multiplier
            )
        if op.kind == "TRANSPOSE_CONV":
            return self._table(TransposeConvOptions, "TransposeConvOptions", **space)
        if op.kind == "MIRROR_PAD":
            return self._table(MirrorPadOptions, "MirrorPadOptions", Mode=0)
        if op.kind == "GELU":
            return self._table(GeluOptions, "GeluOptions", Approximate=False)
        if op.kind == "L2_NORMALIZATION":
            return self._table(L2NormOptions, "L2NormOptions", FusedActivationFunction=0)
        if op.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            return self._table(Pool2DOptions, "Pool2DOptions", **space, FilterHeight=kh, FilterWidth=kw)
        if op.kind == "FULLY_CONNECTED":
            keep = len(op.shape) > 2
            return self._table(
                FullyConnectedOptions, "FullyConnectedOptions", FusedActivationFunction=act, KeepNumDims=keep
            )
        if op.kind in ("MEAN", "SUM", "REDUCE_MAX"):
            return self._table(ReducerOptions, "ReducerOptions", KeepDims=bool(op.extra[0]))
        if op.kind == "CONCATENATION":
            return self._table(ConcatenationOptions, "ConcatenationOptions", Axis=op.extra[0])
        if op.kind == "SOFTMAX":
            return self._table(SoftmaxOptions, "SoftmaxOptions", Beta=1.0)
        if op.kind == "RESIZE_BILINEAR":
            return self._table(ResizeBilinearOptions, "ResizeBilinearOptions", HalfPixelCenters=True)
        if op.kind == "RESIZE_NEAREST_NEIGHBOR":
            return self._table(ResizeNearestNeighborOptions, "ResizeNearestNeighborOptions", HalfPixelCenters=False)
        if op.kind == "LEAKY_RELU":
            assert op.const is not None
            return self._table(LeakyReluOptions, "LeakyReluOptions", Alpha=op.const[1])
        if op.kind == "BATCH_MATMUL":
            return self._table(BatchMatMulOptions, "BatchMatMulOptions", AdjX=False)
        tables = {"ADD": AddOptions, "SUB": SubOptions, "MUL": MulOptions, "DIV": DivOptions}
        if op.kind in tables:
            name = f"{op.kind.capitalize()}Options"
            return self._table(tables[op.kind], name, FusedActivationFunction=act)
        return None

    def _table(self, module: Any, name: str, **values: Any) -> tuple[int, int]:
        getattr(module, f"{name}Start")(self.builder)
        for key, value in values.items():
            getattr(module, f"{name}Add{key}")(self.builder, value)
        return getattr(BuiltinOptions.BuiltinOptions, name), getattr(module, f"{name}End")(self.builder)

    def _code(self, kind: str) -> int:
        number = getattr(BuiltinOperator.BuiltinOperator, kind)
        OperatorCode.OperatorCodeStart(self.builder)
        OperatorCode.OperatorCodeAddDeprecatedBuiltinCode(self.builder, min(number, 127))
        OperatorCode.OperatorCodeAddBuiltinCode(self.builder, number)
        OperatorCode.OperatorCodeAddVersion(self.builder, _VERSIONS.get(kind, 2))
        return OperatorCode.OperatorCodeEnd(self.builder)

    def _offsets(self, start: Callable[[Any, int], int], offsets: Sequence[int]) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()
