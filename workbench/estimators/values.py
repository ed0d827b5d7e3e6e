"""How a model's weights are distributed: what their compressed size, and so latency, depends on besides shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from ..graph import Graph, Op, Param
from ..graph.compress import Schemes
from ..hardware import Weights
from ..hardware.values import value_of
from .npu.weight_histogram import WeightHistogram, weight_histogram

__all__ = ["NORMAL", "WeightValues", "weight_values"]

_MOST_SEEDED = 1 << 12


@dataclass(frozen=True, eq=False)
class WeightValues:
    """Operator -> distribution of its weight as it is deployed, found in the values when it is asked for, and kept.

    shapes: of the weights that are known, by the names of their parameters. weights: where their values come from.

    The operator may be one of any edited graph of the model. Where its weight has another shape than the model's, the
    model's values stand for those it will have; where it is compressed, the scheme is applied to the values themselves:
    the model's, brought to the new shape, or, where there are none, the seeded ones that are compiled instead.
    """

    shapes: Mapping[str, tuple[int, ...]]
    weights: Weights | None
    _found: dict[tuple[str, tuple[int, ...], Schemes, str], WeightHistogram] = field(default_factory=dict, repr=False)

    def of(self, op: Op, before: Op | None = None) -> WeightHistogram | None:
        """None where nothing is known of the values, which are then taken as normal.

        before: a norm whose scale, one factor an input, is folded into the weight. Every output channel is scaled so
        that its largest weight is 127, as converters do: a scale of outputs that is folded in changes nothing.
        """
        param = op.param("weight")
        if param is None or len(param.shape) < 2:
            return None
        schemes: Schemes = op.get("compress", ())
        known = self.shapes.get(param.name)
        if known is None or len(known) != len(param.shape):
            return _seeded(param, schemes) if schemes else None
        shape = param.shape if schemes else known
        key = (param.name, shape, schemes, before.name if before is not None else "")
        if key not in self._found:
            self._found[key] = self._distribution(op, known, shape, before)
        return self._found[key]

    def _distribution(
        self, op: Op, known: tuple[int, ...], shape: tuple[int, ...], before: Op | None
    ) -> WeightHistogram:
        def fitted(name: str, wanted: tuple[int, ...]) -> np.ndarray | None:
            found = self.weights(name, known) if self.weights is not None else None
            return None if found is None else _fitted(np.asarray(found), shape)

        # of that shape, and so the same whichever edited graph asks first
        param = next(param for param in op.params if param.role == "weight")
        weight = value_of(replace(op, params=(replace(param, shape=shape),)), "weight", fitted)
        if before is not None:
            scale = np.asarray(value_of(before, "weight", self.weights)).reshape(-1)
            weight = weight * scale if scale.size in (1, weight.shape[-1]) else weight
        return weight_histogram(weight)


NORMAL = WeightValues(MappingProxyType({}), None)  # nothing is known


def weight_values(graph: Graph, weights: Weights | None) -> WeightValues:
    """The distributions of a model's weights. graph: the model's own. weights None, or silent on some: these are
    taken as normal.

    >>> from workbench.estimators.sampling import sample
    >>> graph = sample(0)
    >>> ones = weight_values(graph, lambda name, shape: np.ones(shape))
    >>> layer = next(op for op in graph.ops if op.kind == "conv2d")
    >>> float(ones.of(layer).shares[255 + 127]), NORMAL.of(layer)
    (1.0, None)
    """
    if weights is None:
        return NORMAL
    params = {param.name: param.shape for op in graph.ops if (param := op.param("weight")) is not None}
    shapes = {name: shape for name, shape in params.items() if len(shape) > 1 and weights(name, shape) is not None}
    return WeightValues(MappingProxyType(shapes), weights)


def _fitted(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The weight, cut off or repeated along each axis."""
    if weight.shape == shape:
        return weight
    return weight[np.ix_(*(np.arange(new) % old for new, old in zip(shape, weight.shape, strict=True)))]


@lru_cache(maxsize=_MOST_SEEDED)
def _seeded(param: Param, schemes: Schemes) -> WeightHistogram:
    return weight_histogram(value_of(Op("", "", (), (), (("compress", schemes),), (param,)), "weight", None))
