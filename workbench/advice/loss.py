"""What advice asks of whoever measures losses."""

from collections.abc import Sequence
from typing import Protocol

from ..graph import Plan

__all__ = ["Loss"]


class Loss(Protocol):
    """What an edit does to the function; `surgery.Losses` measures it."""

    def of(self, plans: Sequence[Plan], block: str = "") -> float: ...
