"""How a model's weights are distributed: what their compressed size, and so latency, depends on besides shapes."""

from collections.abc import Mapping

from ..graph import Graph
from ..targets import Weights
from .npu.passes import Values
from .npu.weights import distribution

__all__ = ["weight_values"]


def weight_values(graph: Graph, weights: Weights) -> Mapping[str, Values]:
    """The distribution of every weight by the name of its parameter; those `weights` does not know are left out.

    Every output channel is scaled so that its largest weight is 127, as converters do: folding a batch norm in changes
    nothing.
    """
    found: dict[str, Values] = {}
    for op in graph.ops:
        param = op.param("weight")
        if param is None or len(param.shape) < 2 or param.name in found:
            continue
        values = weights(param.name, param.shape)
        if values is not None:
            found[param.name] = distribution(values)
    return found
