"""Scores that a search's own process gives its candidates, beside the zero-shot scores that its workers compute.

Each is a `search.loop.Ranking`: candidates, and those that are trained -> scores by the candidate's number. "forecast"
and "supernet" are the names that strategies and figures know.
"""

from collections.abc import Mapping

from ..search.loop import Ranking
from ..state import AnyState
from ..training import Task
from .searched import Searched

__all__ = ["RANKINGS", "rankings"]

RANKINGS: tuple[str, ...] = ()  # names of those there are


def rankings(searched: Searched[AnyState], task: Task) -> Mapping[str, Ranking]:
    """Those of `RANKINGS`, by name."""
    return {}
