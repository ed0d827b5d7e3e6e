"""The local search: what it aims at, how it chooses what to pay for, and the engine that any table can drive."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..forecast import rank_together, zero_shot
    from .engine import explore_table

__all__ = ["explore_table", "rank_together", "zero_shot"]

# looked up on first use, so that the options of a search can be checked before torch is imported
_WHERE = {"explore_table": ".engine", "rank_together": "..forecast", "zero_shot": "..forecast"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module 'workbench.search' has no attribute {name!r}")
