"""Which tensors of a lowered network share memory.

Rules, read off the compiler (Ethos-U Vela 5.2):

* a view needs no memory of its own: a RESHAPE; a SLICE that no reader slices again; a PAD that convolutions do, which
  they do where it is narrower than their kernels and leaves channels alone
* of a PAD that others read too, convolutions do it only if the compiler comes to them before it comes to the PAD; it
  goes from the outputs to what makes them, the last one first
* what a concatenation or padding reads is written into its output where nobody else reads it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap, Size
from ..passes import ELEMENTWISE
from .kinds import CONVOLUTIONS, LOOKED_UP, PASS_OPS, SLICES
from .shapes import SHALLOW, constant_map, hwc, is_batched, near_square, without_ones

__all__ = ["Aliases"]

_MAY_BE_VIEWS = frozenset(["RESHAPE", "PAD"]) | SLICES
_WRITE_THEIR_OWN = frozenset(["INPUT", "HOST", "CONCATENATION", "PAD", "PADV2"]) | SLICES
_Readers = Mapping[str, Sequence[HwOp]]


@dataclass(frozen=True, eq=False)
class Aliases:
    """The operators of a lowered network by the tensors they produce and read, and which of these share memory.

    producers, readers: by tensor name. sizes: (rows, columns, channels) of every tensor. views: view -> the tensor it
    looks at. containers: tensor -> the tensor it is written into. locations: tensor -> name of the tensor whose memory
    holds it. read_padded: names of convolutions that could do a PAD and read what it makes all the same.
    """

    ops: tuple[HwOp, ...]
    producers: Mapping[str, HwOp]
    readers: _Readers
    sizes: Mapping[str, Size]
    views: Mapping[str, str]
    containers: Mapping[str, str]
    locations: Mapping[str, str]
    read_padded: frozenset[str]

    @classmethod
    def of(cls, ops: Sequence[HwOp]) -> Self:
        producers = {op.name: op for op in ops}
        readers: dict[str, list[HwOp]] = {op.name: [] for op in ops}
        for op in ops:
            for name in dict.fromkeys(op.inputs):
                readers[name].append(op)
        sizes = {op.name: hwc(op.shape) for op in ops}
        views = {op.name: op.inputs[0] for op in ops if op.kind in _MAY_BE_VIEWS and _is_view(op, readers)}
        read_padded = _read_padded(ops, producers, readers)
        containers = _containers(ops, producers, readers, views, read_padded)
        roots = {name: _root(name, views) if name in views else name for name in producers}
        locations = {name: containers.get(root, root) for name, root in roots.items()}
        return cls(tuple(ops), producers, readers, sizes, views, containers, locations, read_padded)

    def root(self, name: str) -> str:
        """The tensor a view looks at, through other views."""
        return _root(name, self.views)

    def unpadded(self, name: str, reader: HwOp) -> str:
        """What a convolution reads of its input: it does the padding itself where it can."""
        while (pad := self.producers[name]).kind == "PAD" and self._does(reader, pad):
            name = pad.inputs[0]
        return name

    def _does(self, reader: HwOp, pad: HwOp) -> bool:
        return reader.name not in self.read_padded and _is_narrow(pad, self.readers[pad.name])

    def is_sliced(self, name: str, leading: bool = False) -> bool:
        """Whether a reader reads a slice of a larger feature map; leading: one along an axis before the rows."""
        while name in self.views:
            op = self.producers[name]
            if op.kind in SLICES and (not leading or op.extra[0] < len(op.shape) - 3):
                return True
            name = self.views[name]
        return False

    def readers_through_views(self, name: str) -> list[HwOp]:
        """Readers of a tensor and of its views."""
        readers = []
        for reader in self.readers[name]:
            readers += self.readers_through_views(reader.name) if reader.name in self.views else [reader]
        return readers

    def is_shallow(self, op: HwOp) -> bool:
        """Whether elementwise operators reshape this operator's output to have more channels."""
        if self.sizes[op.name][2] >= SHALLOW or (op.kind in LOOKED_UP and op.bits == 32):  # the latter a softmax's
            return False
        part = op.name in self.containers or (
            op.weight is None and any(self.producers[name].kind in SLICES for name in op.inputs)
        )
        shapes = {self.producers[name].shape for name in op.inputs if self.producers[name].elements > 1}
        has_operand = op.const is not None and op.const[0] != "alpha"
        constant = has_operand and constant_map(op, FeatureMap(*self.sizes[op.name])).elements > 1 and op.bits < 32
        return op.elements > 2 * SHALLOW and not part and len(shapes) < 2 and not constant


def _root(name: str, views: Mapping[str, str]) -> str:
    while name in views:
        name = views[name]
    return name


def _is_view(op: HwOp, readers: _Readers) -> bool:
    if op.kind == "RESHAPE":
        return True
    if op.kind in SLICES:
        return bool(readers[op.name]) and _readers_can_slice(op, op.shape, readers)
    padded_by_readers = op.kind == "PAD" and all(reader.kind in CONVOLUTIONS for reader in readers[op.name])
    return padded_by_readers and _is_narrow(op, readers[op.name])


def _is_narrow(op: HwOp, readers: Sequence[HwOp]) -> bool:
    """Whether every convolution among the readers of a PAD is larger than its borders."""
    top, bottom, left, right = op.extra[:4] if len(op.extra) == 4 else op.extra[-6:-2]
    if len(op.extra) > 4 and any([*op.extra[:-6], *op.extra[-2:]]):
        return False
    return all(
        max(top, bottom) <= (reader.kernel[0] - 1) * reader.dilation[0]
        and max(left, right) <= (reader.kernel[1] - 1) * reader.dilation[1]
        for reader in readers
        if reader.kind in CONVOLUTIONS
    )


def _read_padded(ops: Sequence[HwOp], producers: Mapping[str, HwOp], readers: _Readers) -> frozenset[str]:
    """Names of convolutions that could do the PAD they read, but that the compiler comes to behind it."""
    shared = {
        op.name
        for op in ops
        if op.kind == "PAD"
        and len({reader.kind in CONVOLUTIONS for reader in readers[op.name]}) > 1
        and _is_narrow(op, readers[op.name])
    }
    if not shared:
        return frozenset()
    visited, late = set[str](), set[str]()
    stack = [op for op in ops if not readers[op.name]]
    while stack:
        op = stack.pop()
        if op.name in visited:
            continue
        visited.add(op.name)
        for name in op.inputs:
            if name in shared and op.kind in CONVOLUTIONS:
                if name in visited:
                    late.add(op.name)
                else:
                    name = producers[name].inputs[0]
            stack.append(producers[name])
    return frozenset(late)


def _readers_can_slice(op: HwOp, shape: Sequence[int], readers: _Readers) -> bool:
    """Whether all readers of a slice, with reshapes in between or not, can read it out of the whole."""
    for reader in readers[op.name]:
        if reader.kind == "FULLY_CONNECTED" or is_batched(reader):
            feature_map = FeatureMap(*hwc(shape))
            if near_square(feature_map) != feature_map:
                return False
        if reader.kind == "RESHAPE":
            same = without_ones(reader.shape) == without_ones(shape)
            if not same or not _readers_can_slice(reader, shape, readers):
                return False
        elif _slices_its_input(reader) or reader.kind == "TRANSPOSE":
            return False
    return True


def _slices_its_input(op: HwOp) -> bool:
    return op.kind in SLICES or (op.groups > 1 and op.kind == "CONV_2D")


def _is_rearranged(op: HwOp) -> bool:
    """Whether a fully connected layer writes its rows as a square."""
    feature_map = FeatureMap(*hwc(op.shape))
    return op.kind == "FULLY_CONNECTED" and near_square(feature_map) != feature_map


def _containers(
    ops: Sequence[HwOp], producers: Mapping[str, HwOp], readers: _Readers, views: Mapping[str, str],
    read_padded: frozenset[str],
) -> dict[str, str]:  # fmt: skip
    """Tensor -> the concatenation or padding it is written into."""
    containers = {}
    for op in ops:
        if op.kind == "STACK":
            containers.update(dict.fromkeys(op.inputs, op.name))
        if op.kind == "CONCATENATION" or (op.kind in ("PAD", "PADV2") and op.name not in views):
            also_convolved = (
                op.kind == "PAD"
                and any(r.kind in CONVOLUTIONS and r.name not in read_padded for r in readers[op.name])
                and _is_narrow(op, readers[op.name])
            )
            for name in dict.fromkeys(op.inputs):
                kind = producers[name].kind
                shared = len(readers[name]) > 1 or op.inputs.count(name) > 1
                batched = prod(op.shape[:-3]) > 1 and PASS_OPS.get(kind) not in ELEMENTWISE
                written_apart = kind in _WRITE_THEIR_OWN or _is_rearranged(producers[name])
                if not (written_apart or batched or shared or also_convolved or name in views):
                    containers[name] = op.name
    return containers
