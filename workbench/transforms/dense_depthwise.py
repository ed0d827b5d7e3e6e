"""Dense in place of depthwise convolutions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from ..graph import Block, ExchangeLayer, Graph, Op, Plan
from ..hardware import Target
from .base import Blocks, Transform
from .layer_weights import own_weight, sharing
from .per_block import per_block
from .select import check_blocks

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

    @classmethod
    def block_options(cls, graph: Graph, block: Block) -> Mapping[str, Self]:
        return {"dense": cls(block.name)}

    def plan(self, graph: Graph, target: Target) -> Plan:
        def layers(block: Block) -> list[Op]:
            return [op for op in (graph.by_name[name] for name in block.ops) if _is_layer(op)]

        def edits(layer: Op) -> list[ExchangeLayer]:
            return [ExchangeLayer(op.name, _dense(op)) for op in sharing(graph, layer)]

        none = f"none of the blocks {self.blocks!r} has a depthwise convolution"
        return per_block(graph, self.blocks, layers, edits, "has no depthwise convolution", none)


def _is_layer(op: Op) -> bool:
    """A depthwise convolution with weights to train; a blur is one whose kernel is fixed."""
    return op.is_depthwise and own_weight(op) is not None


def _dense(op: Op) -> Op:
    weight = op.param("weight")
    assert weight is not None
    shape = (weight.shape[0], op["groups"], *weight.shape[2:])
    params = tuple(replace(p, shape=shape) if p is weight else p for p in op.params)
    return replace(op.with_attrs(groups=1), params=params)
