"""Where a graph comes from: its network, to be traced once more at another input size.

Windows, patches, tables of positions: a recorded trace does not say how they follow the input. 40 = 8 windows of 5
becomes 16 of 5 or 8 of 10, and a padding is there at one size and not at the next. The network's code knows, so where
no rule does it is asked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .plan import Edit, Plan, SetInput

if TYPE_CHECKING:
    from .ir import Graph

__all__ = ["Origin"]


@dataclass(frozen=True, eq=False)
class Origin:
    """A traced network and the edits made since, but for its input size.

    trace_at: input size (channels, height, width) -> the graph of the network as it was traced, at that size; raises
    WorkbenchError where it does not run.
    """

    trace_at: Callable[[tuple[int, int, int]], "Graph"]
    plan: Plan = field(default_factory=Plan)

    def behind(self, edits: Iterable[Edit]) -> "Origin":
        return replace(self, plan=self.plan + Plan(tuple(e for e in edits if not isinstance(e, SetInput))))
