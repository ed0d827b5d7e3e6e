"""Where a graph comes from: its network, to be traced once more at another input size.

Windows, patches, tables of positions: a recorded trace does not say how they follow the input. 40 = 8 windows of 5
becomes 16 of 5 or 8 of 10, and a padding is there at one size and not at the next. The network's code knows, so where
no rule does it is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .plan import Edit, Plan, SetInput

if TYPE_CHECKING:
    from .ir import Graph

__all__ = ["Origin"]


@dataclass(frozen=True, eq=False)
class Origin:
    """A traced network and the edits made since.

    trace_at: input size (channels, height, width) -> the graph of the network as it was traced, at that size; raises
    WorkbenchError where it does not run.
    """

    trace_at: Callable[[tuple[int, int, int]], "Graph"]
    edits: tuple[Edit, ...] = ()

    def behind(self, plan: Plan) -> "Origin":
        return replace(self, edits=self.edits + plan.edits)

    @property
    def plan(self) -> Plan:
        """The edits that hold at every input size."""
        return Plan(tuple(edit for edit in self.edits if not isinstance(edit, SetInput)))
