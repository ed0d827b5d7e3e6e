"""Clustering: weights that share few values."""

from dataclasses import dataclass

from ..graph import Graph, Plan, cluster
from ..hardware import Target
from .base import Blocks, Transform
from .layer_weights import compress_layers
from .select import check_blocks

__all__ = ["ClusterWeights"]


@dataclass(frozen=True)
class ClusterWeights(Transform):
    """Let all weights of a layer share a few int8 values; no shape changes.

    Compilers write down which of the values a weight is, in fewer bits than eight, so where weights come from flash or
    DRAM, fewer bytes are fewer cycles (Han et al. 2016, Deep Compression, section 3).

    values: how many a layer may have, 2 to 256, both signs counted. The largest weight of every output channel stays,
    and with it the scale converters give the channel. Zeros stay, too: a pruned layer has zero among its values.
    blocks: selector; blocks without a convolution or fully connected layer are passed over unless named by their full
    path.

    The weights of a layer are clustered together, each relative to the largest of its output channel, by k-means on the
    sizes of their int8 codes; signs stay, because a batch norm that is folded in may turn those of a channel. Layers
    whose weights are computed, standardised ones say, are passed over. A layer stays so clustered whatever later steps
    do to it: what they resize or put in its place is clustered again.

    >>> ClusterWeights(32)
    ClusterWeights(values=32, blocks='*')
    """

    values: int = 16
    blocks: Blocks = "*"

    def __post_init__(self) -> None:
        cluster(self.values)
        check_blocks(self.blocks)

    def plan(self, graph: Graph, target: Target) -> Plan:
        what = "convolution or fully connected layer with a weight of its own"
        return compress_layers(graph, self.blocks, cluster(self.values), lambda op: True, what)
