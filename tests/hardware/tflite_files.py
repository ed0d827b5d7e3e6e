"""TFLite files that people bring: edits of an int8 file through another package's reading of the schema."""

import copy
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from workbench.graph.trace import trace
from workbench.hardware.tflite import write_tflite

__all__ = ["converted_to_float", "edited", "int8_file", "kinds_in", "with_custom", "with_subgraph"]


def int8_file(module: nn.Module, size: tuple[int, int, int] = (3, 16, 16)) -> bytes:
    return write_tflite(trace(module.eval(), size)).data


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """The file after `edit` changed its model, an object of lists and fields."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kinds_in(data: bytes) -> list[str]:
    """Every operator's kind, all subgraphs; a custom one's code."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    codes = [model.operatorCodes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators]
    kinds = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in codes]
    pairs = zip(kinds, codes, strict=True)
    return [f"CUSTOM:{code.customCode.decode()}" if kind == "CUSTOM" else kind for kind, code in pairs]


def converted_to_float(data: bytes, weights: str = "float32") -> bytes:
    """The network before quantisation: float maps, and weights in floats, in half floats or in int8."""

    def edit(model: Any) -> None:
        (graph,) = model.subgraphs
        for number, tensor in enumerate(list(graph.tensors)):
            if tensor.quantization is None or tensor.quantization.scale is None:
                continue  # sizes, axes
            held = model.buffers[tensor.buffer].data
            is_weight = held is not None and len(held) and len(tensor.shape) > 1
            if is_weight and weights == "int8 weights":
                continue
            tensor.quantization, tensor.type = None, schema.TensorType.FLOAT32
            if held is not None and len(held):
                dtype = np.float16 if is_weight and weights == "float16 weights" else np.float32
                values = np.linspace(-1, 1, int(np.prod(tensor.shape))).astype(dtype)
                model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
                if dtype == np.float16:
                    _widen(model, graph, number)

    return edited(data, edit)


def _widen(model: Any, graph: Any, number: int) -> None:
    """A DEQUANTIZE between half-precision weights and who reads them."""
    half = graph.tensors[number]
    half.type = schema.TensorType.FLOAT16
    wide = copy.deepcopy(half)
    wide.name, wide.type, wide.buffer = half.name + b"/wide", schema.TensorType.FLOAT32, 0
    graph.tensors.append(wide)
    for operator in graph.operators:
        operator.inputs = [len(graph.tensors) - 1 if i == number else i for i in operator.inputs]
    code = schema.OperatorCodeT()
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 3
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [number], [len(graph.tensors) - 1]
    graph.operators.insert(0, operator)


def with_custom(data: bytes, code: str, behind: int, alone: bool = False) -> bytes:
    """A custom operator behind the operator of number `behind` (-1: the last); alone: without the others."""

    def edit(model: Any) -> None:
        (graph,) = model.subgraphs
        name = schema.OperatorCodeT()
        name.deprecatedBuiltinCode = name.builtinCode = schema.BuiltinOperator.CUSTOM
        name.customCode, name.version = code, 1
        model.operatorCodes.append(name)
        before = graph.operators[behind].outputs[0]
        result = copy.deepcopy(graph.tensors[before])
        result.name = b"custom"
        graph.tensors.append(result)
        after = len(graph.tensors) - 1
        for operator in graph.operators:
            operator.inputs = [after if i == before else i for i in operator.inputs]
        graph.outputs = [after if i == before else i for i in graph.outputs]
        custom = schema.OperatorT()
        custom.opcodeIndex, custom.inputs, custom.outputs = len(model.operatorCodes) - 1, [before], [after]
        custom.customOptions = [1]
        graph.operators.insert(behind % len(graph.operators) + 1, custom)
        if alone:
            graph.operators, graph.inputs, graph.outputs = [custom], [before], [after]

    return edited(data, edit)


def with_subgraph(data: bytes, other: bytes | None) -> bytes:
    """A second subgraph: another file's network; None for one without operators."""

    def edit(model: Any) -> None:
        if other is None:
            second = copy.deepcopy(model.subgraphs[0])
            second.operators, second.outputs = [], second.inputs
        else:
            guest = schema.ModelT.InitFromObj(schema.Model.GetRootAs(other, 0))
            (second,) = guest.subgraphs
            for tensor in second.tensors:
                tensor.buffer += len(model.buffers)
            for operator in second.operators:
                operator.opcodeIndex += len(model.operatorCodes)
            model.buffers += guest.buffers
            model.operatorCodes += guest.operatorCodes
        second.name = b"second"
        model.subgraphs.append(second)

    return edited(data, edit)
