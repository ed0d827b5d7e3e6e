"""Which layers a transform of weight values works on, and its plan."""

from collections.abc import Callable

from ..errors import NotApplicable
from ..graph import Compress, Graph, Op, Param, Plan, Scheme
from ..graph.kinds import PLAIN_LAYERS
from .base import Blocks
from .select import named, select

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
    edits: dict[str, Compress] = {}
    meant = named(blocks)
    for block in select(graph, blocks):
        ops = [graph.by_name[name] for name in block.ops]
        found = [(weight.name, op) for op in ops if (weight := weight_of(op)) is not None and fits(op)]
        if not found and block.name in meant:
            raise NotApplicable(f"{block.name} ({block.kind}) has no {what}")
        for name, op in found:
            edits.setdefault(name, Compress(op.name, scheme))
    if not edits:
        raise NotApplicable(f"none of the blocks {blocks!r} has a {what}")
    return Plan(tuple(edits.values()))


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
    known = _STANDARDISED.get(graph.classes.get(op.module, ""))
    return known if weight is not None and weight.computed and weight.name == f"{op.module}.weight" else None


def weight_of(op: Op) -> Param | None:
    """The weight of a convolution or fully connected layer that is a parameter as it stands, no fixed filter."""
    weight = op.param("weight")
    if op.kind not in PLAIN_LAYERS or weight is None or weight.computed or not weight.name.endswith("weight"):
        return None
    return weight
