"""Operators that only move data, as copies.

Rules, read off the compiler (Ethos-U Vela 5.2):

* of a concatenation, the parts that could not be written in place or are constant, from the last to the first
* of padding, the input unless it is written in place, then strips of constants: columns, then rows
* of mirrored padding, strips of the input, the input, then strips of the padded feature map
"""

from math import prod

from ....hardware.lowering import HwOp
from ..feature_map import FeatureMap
from ..passes import Pass
from .kinds import SLICES
from .shapes import concatenated, hwc, stepped_over
from .split import batch_passes
from .storage import TensorStorage

__all__ = ["concatenated_constant", "concatenated_input", "mirror_pad", "pad", "tile"]


def concatenated_input(storage: TensorStorage, op: HwOp, source: str) -> list[Pass]:
    """An input of a concatenation that is stored elsewhere."""
    _, total, _ = storage.output(op)
    copy = _copy(storage, op, storage.location(source), storage.maps[source], total)
    producer = storage.aliases.producers[source]
    if producer.kind in SLICES and source in storage.aliases.views:
        copy = copy._replace(ifm=stepped_over(producer, copy.ifm))
    batch = prod(op.shape[:-3])
    return batch_passes(copy, batch) if batch > 1 else [copy]


def concatenated_constant(storage: TensorStorage, op: HwOp) -> list[Pass]:
    """A constant input of a concatenation."""
    _, total, whole = storage.output(op)
    axis, length = op.extra[0], dict(concatenated(op, storage.aliases.producers))[""]
    shape = tuple(length if k == axis else n for k, n in enumerate(op.shape))
    return [_copy(storage, op, "", FeatureMap(*hwc(shape), False), whole or total)]


def tile(storage: TensorStorage, op: HwOp) -> list[Pass]:
    """A matrix, constant or not, copied for every one of a batch."""
    _, ofm, _ = storage.output(op)
    count = ofm.height if prod(op.extra[:-2]) < ofm.height else 1
    bricks = bool(op.inputs) and storage.maps[op.inputs[0]].bricks
    source = storage.location(op.inputs[0]) if op.inputs else ""
    return [_copy(storage, op, source, ofm._replace(height=ofm.height // count, bricks=bricks), ofm)] * count


def pad(storage: TensorStorage, op: HwOp) -> list[Pass]:
    """Constants around a feature map."""
    _, total, _ = storage.output(op)
    source = op.inputs[0]
    copies = []
    if storage.aliases.containers.get(storage.aliases.root(source)) != op.name:
        ifm = storage.maps[source]
        ifm = ifm._replace(height=min(ifm.height, total.height), width=min(ifm.width, total.width))  # it may crop
        copies.append(_copy(storage, op, storage.location(source), ifm, total))
    edges = [*op.extra, 0, 0] if len(op.extra) == 4 else list(op.extra)
    top, bottom, left, right, front, back = ([0] * 6 + edges)[-6:]
    strips = [FeatureMap(total.height, total.width, n, False) for n in (front, back)]
    strips += [FeatureMap(total.height, n, total.channels, False) for n in (left, right)]
    strips += [FeatureMap(n, total.width, total.channels, False) for n in (top, bottom)]
    # a strip has no elements, or a negative number where it crops
    return copies + [_copy(storage, op, "", strip, total) for strip in strips if strip.elements > 0]


def mirror_pad(storage: TensorStorage, op: HwOp) -> list[Pass]:
    """The inside of a feature map repeated around it."""
    location, total, whole = storage.output(op)
    whole = whole or total
    source, ifm = storage.location(op.inputs[0]), storage.maps[op.inputs[0]]
    top, bottom, left, right = ([0] * 6 + list(op.extra))[-6:-2]
    columns = FeatureMap(total.height, 1, ifm.channels, total.bricks)
    return [
        *[_copy(storage, op, source, ifm._replace(height=n), whole) for n in (top, bottom) if n],
        _copy(storage, op, source, ifm, whole),
        *[_copy(storage, op, location, columns._replace(width=n), whole) for n in (left, right) if n],
    ]


def _copy(storage: TensorStorage, op: HwOp, source: str, ifm: FeatureMap, whole: FeatureMap) -> Pass:
    """A copy of a feature map into a part of `whole`, which is where `op` writes. source: "" for constants."""
    location, _, _ = storage.output(op)
    ofm = ifm._replace(bricks=whole.bricks)
    return Pass("MemoryCopy", (storage.numbers[op.name],), (source,), location, ifm, ofm, whole=whole)
