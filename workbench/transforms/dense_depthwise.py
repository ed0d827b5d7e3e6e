"""Dense in place of depthwise convolutions."""

from dataclasses import dataclass, replace

from ..errors import NotApplicable
from ..graph import ExchangeLayer, Graph, Op, Plan
from ..hardware import Target
from .base import Blocks, Transform
from .layers import own_weight, sharing
from .select import check_blocks, named, select

__all__ = ["DenseDepthwise"]


@dataclass(frozen=True)
class DenseDepthwise(Transform):
    """Replace depthwise convolutions by dense ones of the same kernel, stride and width.

    The depthwise kernels become the diagonal of the dense one, so the function stays exactly the same; training
    can then use the rest. Pays on wide arrays, where a depthwise convolution leaves most of the array idle.

    blocks: selector; blocks without a depthwise convolution are passed over unless named by their full path. A layer
    that several blocks call changes in all of them.

    >>> DenseDepthwise(blocks="*[resolution<=14]")
    DenseDepthwise(blocks='*[resolution<=14]')
    """

    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        edits: dict[str, ExchangeLayer] = {}
        meant = named(self.blocks)
        for block in select(graph, self.blocks):
            found = [op for op in (graph.by_name[name] for name in block.ops) if _is_layer(op)]
            if not found and block.name in meant:
                raise NotApplicable(f"{block.name} ({block.kind}) has no depthwise convolution")
            layers = [op for first in found for op in sharing(graph, first)]
            edits |= {op.name: ExchangeLayer(op.name, _dense(op)) for op in layers}
        if not edits:
            raise NotApplicable(f"none of the blocks {self.blocks!r} has a depthwise convolution")
        return Plan(tuple(edits.values()))


def _is_layer(op: Op) -> bool:
    """A depthwise convolution with weights to train; a blur is one whose kernel is fixed."""
    return op.is_depthwise and own_weight(op) is not None


def _dense(op: Op) -> Op:
    weight = op.param("weight")
    assert weight is not None
    shape = (weight.shape[0], op["groups"], *weight.shape[2:])
    params = tuple(replace(p, shape=shape) if p is weight else p for p in op.params)
    return replace(op.with_attrs(groups=1), params=params)
