"""Graph -> Estimate, whatever the target.

There are two families of estimators. An Ethos-U has an analytic model of its compiler (`cycle_model.py`); every other
target is a device learned from networks measured on it (`device/`).
"""

from typing import TypeGuard

from ..graph import Graph
from ..hardware import EthosU, Measurement, Target
from . import device, ethos_u, kept_compiles
from .cache import EstimateCache
from .cycle_model import modelled
from .edit_window import delta_cycles
from .estimate import Estimate
from .weight_distributions import NORMAL, WeightValues

__all__ = ["alone", "clear_estimates", "delta_ms", "estimate", "is_calibrated", "keep"]

_CACHE = EstimateCache(512)


def _has_cycle_model(target: Target) -> TypeGuard[EthosU]:
    """The one place that tells the families apart."""
    return isinstance(target, EthosU)


def is_calibrated(target: Target) -> bool:
    """Whether there are estimates for a target."""
    return _has_cycle_model(target) or device.is_calibrated(target)


def keep(graph: Graph, target: Target, measurement: Measurement, values: WeightValues = NORMAL) -> bool:
    """Keep a compile, which corrects estimates of networks near it; False where it has nothing to keep."""
    if not _has_cycle_model(target) or not measurement.complete:
        return False
    return kept_compiles.keep(graph.digest, modelled(graph, target, values), target, measurement) is not None


def delta_ms(before: Graph, after: Graph, target: Target, values: WeightValues = NORMAL) -> float:
    """Milliseconds `after` takes longer than `before`; for an accelerator from the part around the edit."""
    if _has_cycle_model(target):
        return delta_cycles(before, after, target, values) / target.clock_hz * 1e3
    return estimate(after, target, values).latency_ms - estimate(before, target, values).latency_ms


def estimate(graph: Graph, target: Target, values: WeightValues = NORMAL) -> Estimate:
    """What the network is predicted to cost.

    values: how weights are distributed (`weight_values`); where not given they are taken as normal, or as what the
    graph's compression makes of such values. Operators the accelerator cannot take are named in `cpu_ops` and make the
    estimate incomplete. Raises WorkbenchError for a target without calibration.

    An estimate is kept until something it depends on changes: kept compiles (`keep`) and calibrations of this process
    or any other.
    """
    if _has_cycle_model(target):
        evidence = ethos_u.evidence(target)
        return _CACHE.get(graph, target, values, evidence, lambda: ethos_u.estimate(graph, target, values))
    # the models of measured devices do not depend on values
    return _CACHE.get(graph, target, NORMAL, device.evidence(target), lambda: device.estimate(graph, target))


def alone(graph: Graph, target: Target, values: WeightValues = NORMAL) -> Estimate | None:
    """The estimate that every machine makes: own compiles left out; None for a device, which each learns by itself."""
    return ethos_u.alone(graph, target, values) if _has_cycle_model(target) else None


def clear_estimates() -> None:
    """Drop all kept estimates; the cycles of known operators stay."""
    _CACHE.clear()
