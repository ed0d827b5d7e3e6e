"""Which layers a transform of weight values works on, and its plan."""

from collections.abc import Callable

from ..graph import Block, Compress, Graph, Op, Param, Plan, Scheme
from ..graph.kinds import PLAIN_LAYERS
from .base import Blocks
from .per_block import per_block

__all__ = ["compress_layers", "own_weight", "sharing", "standardised", "weight_of"]

_STANDARDISED = {
    f"timm.layers.std_conv.{name}{same}": gained
    for name, gained in (("StdConv2d", False), ("ScaledStdConv2d", True))
    for same in ("", "Same")
}


def compress_layers(graph: Graph, blocks: Blocks, scheme: Scheme, fits: Callable[[Op], bool], what: str) -> Plan:
    """The scheme on every layer of the selected blocks that fits; weights that layers share are named once.

    Raises NotApplicable where a block named in full, or all of those a pattern selects, have no such layer.
    what: such a layer, in words.
    """

    def layers(block: Block) -> list[Op]:
        return [op for op in (graph.by_name[name] for name in block.ops) if weight_of(op) is not None and fits(op)]

    def edits(layer: Op) -> list[Compress]:
        return [Compress(sharing(graph, layer)[0].name, scheme)]

    return per_block(graph, blocks, layers, edits, f"has no {what}", f"none of the blocks {blocks!r} has a {what}")


def own_weight(op: Op) -> Param | None:
    """The weight of the layer whose module the operator is; None where the code computes it or takes another's.

    A module reached by several paths keeps its weight under one of them, so only the last name must be the same.
    """
    weight = weight_of(op)
    layer = op.module.rpartition(".")[2]
    return weight if weight is not None and f".{weight.name}".endswith(f".{layer}.weight") else None


def sharing(graph: Graph, op: Op) -> list[Op]:
    """The layers that read the weight of `op`, itself among them, in execution order."""
    weight = op.param("weight")
    if weight is None:
        return [op]
    return [other for other in graph.ops if (read := other.param("weight")) is not None and read.name == weight.name]


def standardised(graph: Graph, op: Op) -> bool | None:
    """Whether a layer that standardises its own weights has a gain; None where the operator is no such layer.

    w' = g (w - mean) / sqrt(variance + eps), over all weights of an output channel (Qiao et al. 2019); with a gain g
    for each (Brock et al. 2021), or g = 1.
    """
    weight = op.param("weight")
    gained = _STANDARDISED.get(graph.classes.get(op.module, ""))
    return gained if weight is not None and weight.computed and weight.name == f"{op.module}.weight" else None


def weight_of(op: Op) -> Param | None:
    """The weight of a convolution or fully connected layer that is a parameter as it stands, no fixed filter."""
    weight = op.param("weight")
    if op.kind not in PLAIN_LAYERS or weight is None or weight.computed or not weight.name.endswith("weight"):
        return None
    return weight
