"""TFLite files before and after the compiler: what it cannot take, and what it leaves to the CPU."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Placement", "check_network", "placement"]

_COMPILED = "ethos-u"  # the custom operator that the compiler packs accelerated operators into
# Layers, and which of their inputs is the feature map.
_LAYERS = {
    "CONV_2D": 0,
    "CONV_3D": 0,
    "DEPTHWISE_CONV_2D": 0,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 2,
    "BATCH_MATMUL": 0,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 0,
    "SVDF": 0,
}
_FLOATS = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")


class Placement(NamedTuple):
    """Where the operators of a compiled file run.

    accelerated: the compiler's own operators, each a piece of the network. cpu: [kind, output tensor] of every other
    one. subgraphs: their number.
    """

    accelerated: int
    cpu: list[list[str]]
    subgraphs: int


def check_network(network: bytes) -> None:
    """Raise ValueError, with the reason in one sentence, for what is no int8 network that the compiler can read.

    Files that are no TFLite files or damaged ones: the compiler would read past the end of them. Files it compiled
    before and float networks: it passes their operators on to the CPU, and the rest takes no time.
    """
    if len(network) < 64 or network[4:8] != b"TFL3":
        raise ValueError("not a TFLite file: the identifier TFL3 is missing")
    try:
        model = _model(network)
        _check_extents(model, len(network))
        kinds = [kind for _, _, kind in _operators(model)]
        layers = list(_layers(model))
    except (struct.error, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged TFLite file ({type(error).__name__} while reading it)") from None
    if not kinds:
        raise ValueError("the file holds no operators; a network for the compiler has at least one")
    if count := kinds.count(f"CUSTOM:{_COMPILED}"):
        raise ValueError(
            f"the file is compiled already: {count} of its {len(kinds)} operators {'is' if count == 1 else 'are'} "
            f"{_COMPILED!r}, the compiler's own output, which it does not take again; give the int8 file from before"
        )
    if layers and all(dtype in _FLOATS for _, _, dtype in layers):
        kind, output, dtype = layers[0]
        raise ValueError(
            f"the network is not quantised: the feature maps of its {len(layers)} layers are floats (the first is "
            f"{kind} {output!r}, {dtype.lower()}), and the compiler takes int8; quantise it first, for example with "
            "Session.export to .tflite"
        )


def placement(compiled: bytes) -> Placement:
    """Where the operators of a file run that the compiler wrote."""
    model = _model(compiled)
    cpu, accelerated = [], 0
    for graph, operator, kind in _operators(model):
        if kind == f"CUSTOM:{_COMPILED}":
            accelerated += 1
        else:
            cpu.append([kind, _output(graph, operator)])
    return Placement(accelerated, cpu, model.SubgraphsLength())


def _model(data: bytes) -> Any:
    from ethosu.vela.tflite.Model import Model

    return Model.GetRootAs(data, 0)


def _check_extents(model: Any, size: int) -> None:
    """Follow every offset the compiler follows; size: bytes of the file."""
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for t in range(graph.TensorsLength()):
            tensor = graph.Tensors(t)
            buffer = model.Buffers(tensor.Buffer())
            tensor.Name(), tensor.ShapeAsNumpy()
            if buffer is not None and buffer.Offset() + buffer.Size() > size:
                raise ValueError("a tensor's data lies beyond the end of the file")
            if buffer is not None and buffer.DataLength():
                buffer.Data(buffer.DataLength() - 1)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            for i in range(operator.InputsLength()):
                operator.Inputs(i)


def _operators(model: Any) -> Iterator[tuple[Any, Any, str]]:
    """Every operator: its subgraph, itself, its kind ("CUSTOM:code" for a custom one)."""
    from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator

    names = {number: name for name, number in vars(BuiltinOperator).items() if not name.startswith("_")}
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            code = model.OperatorCodes(operator.OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            kind = names.get(number, str(number))
            if kind == "CUSTOM":
                kind = f"CUSTOM:{(code.CustomCode() or b'').decode(errors='replace')}"
            yield graph, operator, kind


def _layers(model: Any) -> Iterator[tuple[str, str, str]]:
    """Kind, output tensor and the feature map's data type of every layer."""
    from ethosu.vela.tflite.TensorType import TensorType

    dtypes = {number: name for name, number in vars(TensorType).items() if not name.startswith("_")}
    for graph, operator, kind in _operators(model):
        if kind in _LAYERS and operator.InputsLength() > _LAYERS[kind]:
            dtype = graph.Tensors(operator.Inputs(_LAYERS[kind])).Type()
            yield kind, _output(graph, operator), dtypes.get(dtype, str(dtype))


def _output(graph: Any, operator: Any) -> str:
    if not operator.OutputsLength():
        return ""
    return (graph.Tensors(operator.Outputs(0)).Name() or b"").decode(errors="replace")
