"""Distributions of a model's weights: their compressed size, and so latency, depends on them besides shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from ..graph import Graph, Op, Param
from ..graph.compress import Schemes
from ..hardware import Weights
from ..hardware.weight_values import parameter_values
from .npu.weight_histogram import WeightHistogram, weight_histogram

__all__ = ["NORMAL", "WeightValues", "weight_values"]

_MOST_SEEDED = 1 << 12


@dataclass(frozen=True, eq=False)
class WeightValues:
    """Operator -> distribution of its weight as it is deployed; computed on first use, then kept.

    shapes: of the weights whose values are available, by the names of their parameters. weights: the source of the
    values.

    The operator may be one of any edited graph of the model. Where its weight has another shape than the model's, the
    model's values are cut off or repeated to that shape; where it is compressed, the scheme is applied to the values:
    the model's, or, where there are none, the seeded ones that are compiled instead.
    """

    shapes: Mapping[str, tuple[int, ...]]
    weights: Weights | None
    _histograms: dict[tuple[str, tuple[int, ...], Schemes, str], WeightHistogram] = field(
        default_factory=dict, repr=False
    )

    def of(self, op: Op, before: Op | None = None) -> WeightHistogram | None:
        """None where no values are available, which are then taken as normal.

        before: a norm whose scale, one factor an input, is folded into the weight. Every output channel is scaled so
        that its largest weight is 127, as converters do: a scale of outputs that is folded in changes nothing.
        """
        param = op.param("weight")
        if param is None or len(param.shape) < 2:
            return None
        schemes: Schemes = op.get("compress", ())
        model_shape = self.shapes.get(param.name)
        if model_shape is None or _is_another(model_shape, param.shape):
            return _seeded(param, schemes) if schemes else None
        shape = param.shape if schemes else model_shape
        key = (param.name, shape, schemes, before.name if before is not None else "")
        if key not in self._histograms:
            self._histograms[key] = self._histogram(op, model_shape, shape, before)
        return self._histograms[key]

    def _histogram(
        self, op: Op, model_shape: tuple[int, ...], shape: tuple[int, ...], before: Op | None
    ) -> WeightHistogram:
        def fitted(name: str, _: tuple[int, ...]) -> np.ndarray | None:
            values = self.weights(name, model_shape) if self.weights is not None else None
            return None if values is None else _fitted(np.asarray(values), shape)

        # of that shape, and so the same whichever edited graph comes first
        param = next(param for param in op.params if param.role == "weight")
        weight = parameter_values(replace(op, params=(replace(param, shape=shape),)), "weight", fitted)
        if before is not None:
            scale = np.asarray(parameter_values(before, "weight", self.weights)).reshape(-1)
            weight = weight * scale if scale.size in (1, weight.shape[-1]) else weight
        return weight_histogram(weight)


NORMAL = WeightValues(MappingProxyType({}), None)  # no values are available


def weight_values(graph: Graph, weights: Weights | None) -> WeightValues:
    """The distributions of a model's weights. graph: the model's own. weights: None, or those it has no values for, are
    taken as normal.

    >>> from workbench.estimators.random_networks import sample
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


def _is_another(model_shape: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a weight belongs to another layer than the model's of its name, such as a dense one to a depthwise."""
    return len(model_shape) != len(shape) or model_shape[1] == 1 < shape[1]


def _fitted(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The weight, cut off or repeated along each axis."""
    if weight.shape == shape:
        return weight
    return weight[np.ix_(*(np.arange(new) % old for new, old in zip(shape, weight.shape, strict=True)))]


@lru_cache(maxsize=_MOST_SEEDED)
def _seeded(param: Param, schemes: Schemes) -> WeightHistogram:
    return weight_histogram(parameter_values(Op("", "", (), (), (("compress", schemes),), (param,)), "weight", None))
