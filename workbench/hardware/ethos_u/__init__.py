"""Arm Ethos-U: its configurations, and Vela, the compiler that stands behind them."""

from .accelerators import ETHOS_U
from .target import EthosU

__all__ = ["ETHOS_U", "EthosU"]
