"""The int8 TFLite file of a graph.

Weights are int8 per output channel, biases int32 at (input scale x weight scale), feature maps int8 per tensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import WorkbenchError
from ...graph import Graph
from ..folded_constants import FoldedConstants
from ..lowering import COMPARISONS, HwOp, lower, unsupported
from ..tensor_scales import Ranges, Scale, assign_scales, scale_of
from ..weight_values import Weights
from .flatbuffer import ModelBuilder
from .options import add_options

__all__ = ["TfliteFile", "write_tflite"]


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
        op = graph.by_name.get(missing[0].rpartition(" ")[2])
        layer = f" in {op.module}" if op is not None and op.module else ""
        raise WorkbenchError(f"{len(missing)} operators have no int8 TFLite form, the first is {missing[0]!r}{layer}")
    ops, scales = assign_scales(ops, ranges)
    writer = _Writer(graph, FoldedConstants(graph, weights), scales)
    return TfliteFile(writer.write(ops), tuple(op.sources[0] for op in ops if op.kind != "INPUT"))


def _quantised(values: np.ndarray, scale: Scale) -> np.ndarray:
    return np.clip(np.rint(values / scale.scale) + scale.zero, -128, 127).astype(np.int8)


class _Writer:
    """Writes operator after operator; constants are tensors of their own, feature maps one tensor an operator."""

    def __init__(self, graph: Graph, constants: FoldedConstants, scales: Mapping[str, Scale]) -> None:
        self.graph, self.constants, self.scales = graph, constants, scales
        self.model = ModelBuilder()
        self.tensor_of: dict[str, int] = {}  # the feature map of each operator

    def write(self, ops: Sequence[HwOp]) -> bytes:
        shapes = {op.name: op.shape for op in ops}
        for op in ops:
            if op.kind == "INPUT":
                self._add_map(op)
                continue
            inputs = self._inputs(op, shapes)
            self._add_map(op)
            options = add_options(self.model.builder, op)
            self.model.add_operator(op.kind, inputs, [self.tensor_of[op.name]], options)
        inputs = [self.tensor_of[op.name] for op in ops if op.kind == "INPUT"]
        return self.model.finish(inputs, self._outputs(ops))

    def _add_map(self, op: HwOp) -> None:
        scale = None if op.real else self.scales[op.name]
        self.tensor_of[op.name] = self.model.add_map(op.name, op.shape, scale, op.kind in COMPARISONS)

    def _outputs(self, ops: Sequence[HwOp]) -> list[int]:
        """Tensors of the graph's outputs that nothing reads; the last operator's where there is none."""
        unread = {op.name for op in ops} - {name for op in ops for name in op.inputs}
        outputs = [op.name for op in ops if set(op.sources) & set(self.graph.outputs) and op.name in unread]
        return [self.tensor_of[name] for name in outputs] or [self.tensor_of[ops[-1].name]]

    def _inputs(self, op: HwOp, shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
        """The operator's input tensors, feature maps and constants, in the order of the file format."""
        maps = [self.tensor_of[name] for name in op.inputs]
        constants = self._constants(op, shapes)
        if op.kind == "TRANSPOSE_CONV":  # its sizes and weights stand before the map
            (size,) = self._integers(op, op.shape, names=("size",))
            return [size, constants[0], *maps, *constants[1:]]
        if op.const is not None and op.const[0] == "values":
            for position, tensor in zip((k for k, _ in op.const[1]), constants, strict=True):  # type: ignore[attr-defined]
                maps.insert(position, tensor)
            return maps
        return constants + maps if op.const_first else maps + constants

    # ---- constants of an operator ---------------------------------------------------------------------------------

    def _constants(self, op: HwOp, shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
        if op.weight is not None:
            return self._layer(op)
        if op.kind in ("PAD", "PADV2", "MIRROR_PAD"):
            return self._pads(op)
        if op.kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
            return self._integers(op, op.extra[1:])
        if op.kind == "REVERSE_V2":
            return self._integers(op, (0,))
        if op.kind == "TRANSPOSE":
            return self._integers(op, op.extra)
        if op.kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            return self._integers(op, op.extra[:2])
        if op.kind in ("RESHAPE", "BROADCAST_TO"):
            return self._integers(op, op.shape)
        if op.kind in ("SLICE", "STRIDED_SLICE"):
            return self._slice(op, shapes[op.inputs[0]])
        if op.const is not None and op.const[0] != "alpha":
            return self._operand(op)
        return []

    def _integers(self, op: HwOp, *vectors: Any, names: Sequence[str] = ("0", "1", "2")) -> list[int]:
        return [
            self.model.add_constant(f"{op.name}/{name}", np.array(vector, dtype=np.int32))
            for name, vector in zip(names, vectors, strict=False)
        ]

    def _pads(self, op: HwOp) -> list[int]:
        flat = (0, 0, *op.extra, 0, 0) if len(op.extra) == len(op.shape) else op.extra
        pads = self._integers(op, np.reshape(flat, (-1, 2)))
        if op.kind != "PADV2":
            return pads
        border = -np.inf if op.const is None else op.const[1]  # a max pool must never see its border
        scale = self.scales[op.name]
        values = _quantised(np.asarray(border), scale)
        return [*pads, self.model.add_constant(f"{op.name}/value", values, [scale])]

    def _slice(self, op: HwOp, shape: tuple[int, ...]) -> list[int]:
        """Begin and size, or begin, end and step; shape: of what is cut."""
        axis, start, stop, step = op.extra
        begin = [start if i == axis else 0 for i in range(len(shape))]
        if op.kind == "SLICE":
            return self._integers(op, begin, op.shape)
        end = [stop if i == axis else n for i, n in enumerate(shape)]
        return self._integers(op, begin, end, [step if i == axis else 1 for i in range(len(shape))])

    def _layer(self, op: HwOp) -> list[int]:
        """Weight and bias of a convolution or fully connected layer."""
        weight, bias = self.constants.layer(op)
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
        integers = np.clip(np.rint(bias / bias_factors), -(2**31), 2**31 - 1).astype(np.int32)
        return [
            self.model.add_constant(f"{op.name}/weight", quantised, [Scale(float(f), 0) for f in factors], axis),
            self.model.add_constant(f"{op.name}/bias", integers, [Scale(float(f), 0) for f in bias_factors]),
        ]

    def _operand(self, op: HwOp) -> list[int]:
        """Constant operands of an operator that is no layer."""
        assert op.const is not None
        if op.const[0] == "values":  # parts of a concatenation stand at its scale
            scale, parts = self.scales[op.name], self.constants.parts(op)
            return [
                self.model.add_constant(f"{op.name}/part{i}", _quantised(part, scale), [scale])
                for i, part in enumerate(parts)
            ]
        values = self.constants.operand(op)
        if op.real:
            return [self.model.add_constant(f"{op.name}/operand", values.astype(np.float32))]
        finite = np.isfinite(values).all()  # what is below all others is so at their own scale
        scale = scale_of(float(values.min()), float(values.max())) if finite else self.scales[op.name]
        return [self.model.add_constant(f"{op.name}/operand", _quantised(values, scale), [scale])]
