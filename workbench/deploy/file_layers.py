"""The layers of a module in its converted file: which operators compute which.

The converter calls a tensor by the modules whose work it is, the innermost last ("...conv.Conv2d_0"); an exported node
knows the same. So the file's convolutions and matrix products find the node they came from, in the order they run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import fx, nn

from ..errors import WorkbenchError, unknown
from ..graph.kinds import LAYERS

__all__ = ["Layer", "Operator", "check_patterns", "exported", "layers_of", "module_of", "operators", "read_with"]

_MULTIPLY = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D")
_VIEWS = ("PAD", "PADV2", "MIRROR_PAD", "RESHAPE", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "MAX_POOL_2D")
_KINDS = {"convolution": "conv2d", **{kind: kind for kind in LAYERS}}  # layers have ATen's names


@dataclass(frozen=True)
class Operator:
    """An operator of a file; tensors by name."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """path: of the module ("" for the network's own). node: the exported one. outputs: tensors of the file that hold
    the layer's output, with the batch norm and the activation the converter folded into it (several where it cut a
    grouped convolution).
    """

    path: str
    kind: str
    node: str
    outputs: tuple[str, ...]


def exported(module: nn.Module, images: torch.Tensor) -> fx.GraphModule:
    """The module as a graph for exactly these images [N, C, H, W]."""
    try:
        with torch.no_grad():
            return torch.export.export(module.eval(), (images,), strict=False).module()
    except Exception as error:  # the exporter raises whatever the module's own code raised
        first = str(error).strip().splitlines()[:1]
        raise WorkbenchError(
            f"torch.export cannot follow {type(module).__name__}: {first[0] if first else type(error).__name__}"
        ) from error


def operators(file: bytes) -> tuple[Operator, ...]:
    """The operators of a TFLite file in the order they run."""
    from ethosu.vela.tflite import BuiltinOperator
    from ethosu.vela.tflite.Model import Model

    kinds = {v: k for k, v in vars(BuiltinOperator.BuiltinOperator).items() if not k.startswith("_")}
    model = Model.GetRootAs(file, 0)
    graph = model.Subgraphs(0)
    names = [graph.Tensors(i).Name().decode() for i in range(graph.TensorsLength())]
    sequence = []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        reads = tuple(names[op.Inputs(j)] for j in range(op.InputsLength()) if op.Inputs(j) >= 0)
        sequence.append(Operator(kind, reads, tuple(names[op.Outputs(j)] for j in range(op.OutputsLength()))))
    return tuple(sequence)


def layers_of(graph: fx.GraphModule, file: bytes) -> tuple[Layer, ...]:
    """The module's convolutions and linear layers that the float file holds, in the order they run."""
    nodes: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if _kind(node):
            nodes.setdefault(_names(node), []).append(node)
    outputs: dict[fx.Node, list[str]] = {}
    for op in operators(file):
        if op.kind not in _MULTIPLY:
            continue
        # the network's last tensor is called by its signature; there the weights tell
        for key in [key for name in (*op.outputs, *reversed(op.inputs[1:])) for key in _keys(name)]:
            if key in nodes:
                free = [node for node in nodes[key] if node not in outputs]
                outputs.setdefault(free[0] if free else nodes[key][-1], []).extend(op.outputs)
                break
    order = {node: i for i, node in enumerate(graph.graph.nodes)}
    return tuple(
        Layer(module_of(node), _kind(node), node.name, tuple(outputs[node]))
        for node in sorted(outputs, key=order.__getitem__)
    )


def check_patterns(graph: fx.GraphModule, patterns: Sequence[str]) -> None:
    """Raise UnknownName for a pattern that names no layer, with the nearest."""
    paths = [module_of(node) for node in graph.graph.nodes if _kind(node)]
    for pattern in patterns:
        if not any(_matches(path, pattern) for path in paths):
            raise unknown("layer", pattern, paths)


def read_with(file: bytes, layers: Iterable[Layer], patterns: Sequence[str]) -> tuple[str, ...]:
    """The outputs of the layers that the patterns name, of what reads these, and of what moves them in between.

    A layer's output is held in 16 bits only where its readers take 16 bits, so these change together.
    """
    wide = {name for layer in layers if any(_matches(layer.path, p) for p in patterns) for name in layer.outputs}
    changed = set(wide)
    for op in operators(file):  # in order, so one pass follows chains of views
        if wide & set(op.inputs):
            changed.update(op.outputs)
            if op.kind in _VIEWS:
                wide.update(op.outputs)
    return tuple(sorted(changed))


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern names a layer: its path, or a module that it is part of."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def _kind(node: fx.Node) -> str:
    if node.op != "call_function":
        return ""
    kind = _KINDS.get(str(node.target).removeprefix("aten.").partition(".")[0], "")
    weight = node.args[1].meta.get("val") if kind == "conv2d" and isinstance(node.args[1], fx.Node) else None
    return "depthwise" if weight is not None and weight.shape[1] == 1 < weight.shape[0] else kind


def module_of(node: fx.Node) -> str:
    """Path of the module whose code runs an exported node."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    path: str = list(stack.values())[-1][0]
    return path


def _names(node: fx.Node) -> str:
    """The node's modules below the network, as the converter writes them."""
    names = []
    for path, kind in list((node.meta.get("nn_module_stack") or {}).values())[1:]:
        name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        names.append(f"{name}_{path.rpartition('.')[2]}")
    return "/".join(names)


def _keys(tensor: str) -> list[str]:
    """The modules whose work a tensor is, below the network, the one it began with first."""
    return [piece.partition("_wrapped")[2].lstrip("/") for piece in reversed(tensor.split(";")) if "_wrapped" in piece]
