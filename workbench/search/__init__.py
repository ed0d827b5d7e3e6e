"""The local search: what it aims at, how it chooses what to pay for, and the engine that any table can drive."""

from ..forecast import rank_together, zero_shot
from .engine import explore_table

__all__ = ["explore_table", "rank_together", "zero_shot"]
