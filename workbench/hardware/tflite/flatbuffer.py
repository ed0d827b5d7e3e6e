"""The TFLite flatbuffer under construction: buffers, tensors, operators; it knows nothing of networks."""

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (
    Buffer,
    BuiltinOperator,
    Model,
    Operator,
    OperatorCode,
    QuantizationParameters,
    SubGraph,
    Tensor,
)

from ..tensor_scales import Scale

__all__ = ["BOOL", "FLOAT32", "INT8", "INT32", "ModelBuilder"]

BOOL, INT8, INT32, FLOAT32 = 6, 9, 2, 0  # the schema's TensorType
# Versions of operators that differ from 2: those the deployment route writes.
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5, "BATCH_MATMUL": 2, "HARD_SWISH": 1, "GELU": 2}


class ModelBuilder:
    """One model of one subgraph. A tensor is its number, an operator its offset in the flatbuffer."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 20)
        self._tensors: list[int] = []
        self._buffers: list[int] = []
        self._codes: dict[str, int] = {}
        self._operators: list[int] = []
        self._add_buffer(None)  # buffer 0 is the empty one, by convention

    def add_map(self, name: str, shape: Sequence[int], scale: Scale | None, boolean: bool = False) -> int:
        """A feature map: int8 at `scale`; where that is None booleans, or else float32."""
        if scale is None:
            return self._add_tensor(name, shape, BOOL if boolean else FLOAT32, 0)
        return self._add_tensor(name, shape, INT8, 0, [scale])

    def add_constant(self, name: str, values: np.ndarray, scales: Sequence[Scale] = (), axis: int = 0) -> int:
        """A constant, int8, int32 or float32. scales: none, one, or one for each index of `axis`."""
        dtype = {"int8": INT8, "int32": INT32, "float32": FLOAT32}[values.dtype.name]
        return self._add_tensor(name, values.shape, dtype, self._add_buffer(values), scales, axis)

    def add_operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: tuple[int, int] | None
    ) -> None:
        """One operator. options: type and offset of its options table (`options.py`)."""
        b = self.builder
        index = self._codes.setdefault(kind, len(self._codes))
        input_vector = b.CreateNumpyVector(np.array(inputs, dtype=np.int32))
        output_vector = b.CreateNumpyVector(np.array(outputs, dtype=np.int32))
        Operator.OperatorStart(b)
        Operator.OperatorAddOpcodeIndex(b, index)
        Operator.OperatorAddInputs(b, input_vector)
        Operator.OperatorAddOutputs(b, output_vector)
        if options is not None:
            Operator.OperatorAddBuiltinOptionsType(b, options[0])
            Operator.OperatorAddBuiltinOptions(b, options[1])
        self._operators.append(Operator.OperatorEnd(b))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file's bytes. inputs, outputs: tensors of the network."""
        b = self.builder
        tensors = self._offsets(SubGraph.SubGraphStartTensorsVector, self._tensors)
        input_vector = b.CreateNumpyVector(np.array(inputs, np.int32))
        output_vector = b.CreateNumpyVector(np.array(outputs, np.int32))
        operators = self._offsets(SubGraph.SubGraphStartOperatorsVector, self._operators)
        name = b.CreateString("main")
        SubGraph.SubGraphStart(b)
        SubGraph.SubGraphAddTensors(b, tensors)
        SubGraph.SubGraphAddInputs(b, input_vector)
        SubGraph.SubGraphAddOutputs(b, output_vector)
        SubGraph.SubGraphAddOperators(b, operators)
        SubGraph.SubGraphAddName(b, name)
        subgraphs = self._offsets(Model.ModelStartSubgraphsVector, [SubGraph.SubGraphEnd(b)])
        codes = self._offsets(Model.ModelStartOperatorCodesVector, [self._add_code(kind) for kind in self._codes])
        buffers = self._offsets(Model.ModelStartBuffersVector, self._buffers)
        description = b.CreateString("nas-workbench")
        Model.ModelStart(b)
        Model.ModelAddVersion(b, 3)
        Model.ModelAddOperatorCodes(b, codes)
        Model.ModelAddSubgraphs(b, subgraphs)
        Model.ModelAddDescription(b, description)
        Model.ModelAddBuffers(b, buffers)
        b.Finish(Model.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _add_buffer(self, values: np.ndarray | None) -> int:
        b = self.builder
        vector = None
        if values is not None:
            vector = b.CreateNumpyVector(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
        Buffer.BufferStart(b)
        if vector is not None:
            Buffer.BufferAddData(b, vector)
        self._buffers.append(Buffer.BufferEnd(b))
        return len(self._buffers) - 1

    def _add_tensor(
        self, name: str, shape: Sequence[int], dtype: int, buffer: int, scales: Sequence[Scale] = (), axis: int = 0
    ) -> int:
        b = self.builder
        quantization = self._add_quantization(scales, axis) if scales else None
        text, dims = b.CreateString(name), b.CreateNumpyVector(np.array(shape, dtype=np.int32))
        Tensor.TensorStart(b)
        Tensor.TensorAddShape(b, dims)
        Tensor.TensorAddType(b, dtype)
        Tensor.TensorAddBuffer(b, buffer)
        Tensor.TensorAddName(b, text)
        if quantization is not None:
            Tensor.TensorAddQuantization(b, quantization)
        self._tensors.append(Tensor.TensorEnd(b))
        return len(self._tensors) - 1

    def _add_quantization(self, scales: Sequence[Scale], axis: int) -> Any:
        b = self.builder
        factors = b.CreateNumpyVector(np.array([s.scale for s in scales], np.float32))
        zeros = b.CreateNumpyVector(np.array([s.zero for s in scales], np.int64))
        QuantizationParameters.QuantizationParametersStart(b)
        QuantizationParameters.QuantizationParametersAddScale(b, factors)
        QuantizationParameters.QuantizationParametersAddZeroPoint(b, zeros)
        QuantizationParameters.QuantizationParametersAddQuantizedDimension(b, axis)
        return QuantizationParameters.QuantizationParametersEnd(b)

    def _add_code(self, kind: str) -> int:
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
