"""Graph -> Estimate, whatever the target."""

from ..graph import Graph
from ..hardware import EthosU, Measurement, Target
from . import device, ethos_u, own
from .estimate import Estimate
from .values import NORMAL, WeightValues
from .window import delta_cycles

__all__ = ["alone", "delta_ms", "estimate", "is_calibrated", "keep"]


def is_calibrated(target: Target) -> bool:
    """Whether there are estimates for a target."""
    return isinstance(target, EthosU) or device.is_calibrated(target)


def keep(graph: Graph, target: Target, measurement: Measurement, values: WeightValues = NORMAL) -> bool:
    """Keep what a compiler said of a network, so that estimates near it are sharper; whether there was anything to."""
    if not isinstance(target, EthosU) or not measurement.complete:
        return False
    return own.keep(graph.digest, ethos_u.modelled(graph, target, values), target, measurement) is not None


def delta_ms(before: Graph, after: Graph, target: Target, values: WeightValues = NORMAL) -> float:
    """Milliseconds `after` takes longer than `before`; for an accelerator from the part around the edit."""
    if isinstance(target, EthosU):
        return delta_cycles(before, after, target, values) / target.clock_hz * 1e3
    return estimate(after, target, values).latency_ms - estimate(before, target, values).latency_ms


def estimate(graph: Graph, target: Target, values: WeightValues = NORMAL) -> Estimate:
    """What the network is predicted to cost.

    values: how weights are distributed (`weight_values`); where not given they are taken as normal, or as what the
    graph's compression makes of such values. Operators the accelerator cannot take are named in `cpu_ops` and make the
    estimate incomplete. Raises WorkbenchError for a target without calibration.
    """
    if isinstance(target, EthosU):
        return ethos_u.estimate(graph, target, values)
    return device.estimate(graph, target)


def alone(graph: Graph, target: Target, values: WeightValues = NORMAL) -> Estimate | None:
    """The estimate that every machine makes: own compiles left out; None for a device, which each learns by itself."""
    return ethos_u.alone(graph, target, values) if isinstance(target, EthosU) else None
