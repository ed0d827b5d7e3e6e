"""Targets: what they are, and how networks are measured on them."""

import pandas as pd

from ..errors import unknown
from .base import Measurement, Target, Weights
from .ethos_u import ETHOS_U, EthosU

__all__ = ["ETHOS_U", "EthosU", "Measurement", "Target", "Weights", "list_targets", "resolve"]


def resolve(target: str | Target) -> Target:
    """A target from its name; targets pass through. An unknown name raises with the nearest."""
    if isinstance(target, Target):
        return target
    if target not in ETHOS_U:
        raise unknown("target", target, ETHOS_U)
    return EthosU(target)


def list_targets() -> pd.DataFrame:
    """The targets known by name: macs (a cycle), clock_mhz, compiler."""
    rows = [EthosU(name) for name in ETHOS_U]
    return pd.DataFrame(
        {"name": t.name, "macs": t.macs, "clock_mhz": t.clock_hz / 1e6, "compiler": t.compiler} for t in rows
    )
