"""Pruning: weights set to zero."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from ..graph import Graph, Op, Plan, prune
from ..graph.compress import Pattern
from ..hardware import Target
from .base import Blocks, Transform
from .layer_weights import compress_layers, weight_of
from .select import check_blocks

__all__ = ["Sparsify"]


@dataclass(frozen=True)
class Sparsify(Transform):
    """Set the weights that matter least to zero, layer by layer; no shape changes.

    Compilers store zeros in little, so where weights come from flash or DRAM, fewer bytes are fewer cycles. The layers
    are convolutions and fully connected ones, the classifier included (`*[kind!=head]` leaves it out).

    amount: share of each layer's weights, above 0 and below 1. What is zero already counts, and stays.
    pattern: "unstructured" takes the smallest, each relative to the largest of its output channel, which itself stays;
    "2:4" leaves the two largest of every four input channels, "structured" zeroes whole output channels.

    1. "unstructured" (Han et al. 2015, Learning both weights and connections): every layer, depthwise ones too.
       Converters scale every output channel to its largest weight, and folding a batch norm in scales channels: neither
       changes what is pruned.
    2. "2:4" (Mishra et al. 2021, Accelerating sparse deep neural networks), which the Ethos-U85 multiplies in half the
       time: amount is 0.5. Layers of fewer than four input channels a group, so all depthwise ones, are passed over.
       In a recipe file it is written with quotes, '2:4'.
    3. "structured" (Li et al. 2017, Pruning filters): the output channels of the smallest L2 norm. Widths stay as they
       are: to narrow layers for real is DepthMultiplier's work. Depthwise layers are passed over.

    Layers whose weights are computed, standardised ones say, are passed over, too. A layer stays so pruned whatever
    later steps do to it: what they resize or put in its place is pruned again.

    blocks: selector; blocks without such a layer are passed over unless named by their full path.

    >>> Sparsify(0.75, blocks="*[kind!=head]")
    Sparsify(amount=0.75, pattern='unstructured', blocks='*[kind!=head]')
    """

    amount: float = 0.5
    pattern: Pattern = "unstructured"
    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        prune(self.amount, self.pattern)
        check_blocks(self.blocks)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(0.75), cls(0.5, "2:4")

    def plan(self, graph: Graph, target: Target) -> Plan:
        fits, what = _LAYERS[self.pattern]
        return compress_layers(graph, self.blocks, prune(self.amount, self.pattern), fits, what)


def _in_fours(op: Op) -> bool:
    weight = weight_of(op)
    return weight is not None and weight.shape[1] >= 4


_LAYERS: Mapping[str, tuple[Callable[[Op], bool], str]] = MappingProxyType(
    {
        "unstructured": (lambda op: True, "convolution or fully connected layer with a weight of its own"),
        "2:4": (_in_fours, "layer with a weight of its own that reads at least 4 input channels a group"),
        "structured": (lambda op: not op.is_depthwise, "dense layer with a weight of its own"),
    }
)
