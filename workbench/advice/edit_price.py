"""What an edit costs besides its gain, in numbers whose squares add up over blocks."""

from ..graph import Graph
from ..space import Option
from ..state import State
from ..surgery.losses import Losses

__all__ = ["UNTRAINED", "edit_price", "untrained_badge"]

UNTRAINED = "the weights are untrained, so no loss is predicted"
_CHANGE = 1e-6  # of an edit that takes no arithmetic away: it is made only where it gains something


def edit_price(graph: Graph, option: Option, losses: Losses | None) -> float:
    """The loss of an option of the graph's network; where there are no losses what it takes of the arithmetic.

    That is the root of the share of the multiply-accumulates that go: squares of prices add up over blocks.
    """
    if losses is not None:
        return losses.of(option.plans, option.block)
    lost = 1 - option.graph.macs / max(graph.macs, 1)
    return float((max(lost, 0.0) + _CHANGE) ** 0.5)


def untrained_badge(state: State) -> str:
    """What stands beside a network whose weights never learned anything, in one sentence; "" for any other."""
    return f"{UNTRAINED[:1].upper()}{UNTRAINED[1:]}; plans keep the most arithmetic." if state.untrained else ""
