"""The plan that meets the budgets: looked for in the background, shown as it gets better, stopped, taken."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from ..errors import BudgetError, InputError, WorkbenchError
from ..estimators import Budgets
from ..progress import Progress
from ..state import State
from .choices_view import ghost
from .gestures import sentence
from .lanes import Lane

__all__ = ["Meet", "Planning"]

# state, budgets, progress, called with each plan that is tried -> the state that meets them
Meet = Callable[[Any, Budgets, Progress, Callable[[Any], None]], Any]
Offer = Callable[[State | None, dict[str, Any]], None]


class _Stopped(Exception):
    """Somebody stopped the plan."""


class Planning:
    """One plan at a time. show: of (session, what to show: running, text, share, ghost, ready)."""

    def __init__(self, meet: Meet | None, free: Event, show: Callable[[State, dict[str, Any]], object]) -> None:
        self._meet, self._show = meet, show
        self.lane = Lane("plan", free)
        self._planned: State | None = None
        self._shown: dict[str, Any] = {}

    def start(self, session: State, budgets: Budgets) -> str:
        """Look for the plan; what to say about it."""
        if self._meet is None or not budgets:
            raise InputError("a plan needs a budget; type one under latency, SRAM or weights")
        meet, lane, self._planned = self._meet, self.lane, None
        self._draw(session, {"running": True, "text": "looking for a plan", "share": 0.0, "ghost": {}})

        def offer(state: State | None, plan: dict[str, Any]) -> None:
            if lane.stopped:
                raise _Stopped
            if state is not None:
                self._planned = state if state.changes != session.changes else None
            self._draw(session, plan)

        lane.start(lambda: _looking(session, meet, budgets, offer))
        return "Looking for the steps that meet the budgets."

    def stop(self, session: State) -> str:
        self.lane.stop()
        self._draw(session, {**self._shown, "running": False})
        return f"Stopped; {'the best plan so far stays' if self._planned is not None else 'no plan was found yet'}."

    def taken(self) -> State:
        """The state after the best plan so far, which is no plan from then on."""
        if self._planned is None:
            raise InputError("there is no plan to take; set a budget and let one be found")
        state, self._planned = self._planned, None
        return state

    def _draw(self, session: State, plan: dict[str, Any]) -> None:
        self._shown = {**plan, "ready": self._planned is not None and not plan["running"]}
        self._show(session, self._shown)


def _looking(session: State, meet: Meet, budgets: Budgets, offer: Offer) -> Iterator[None]:
    """offer: called with the state after the best plan so far (None: no other than before), and what to show; raises
    _Stopped once nobody waits for it.
    """
    shown: dict[str, Any] = {"ghost": {}}
    yield

    def progress(part: str, number: int, total: int) -> None:
        offer(None, {**shown, "running": True, "text": part, "share": number / max(total, 1)})

    def candidate(state: State | None) -> None:
        if state is not None:
            shown["ghost"] = ghost(session, state.graph, state.estimate)
            offer(state, {**shown, "running": True, "text": f"{_last(state)}; compiling it", "share": 1.0})

    def end(state: State | None, text: str) -> None:
        if state is not None:
            shown["ghost"] = ghost(session, state.graph, state.estimate)
        offer(state, {**shown, "running": False, "text": text, "share": 1.0})

    try:
        state = meet(session, budgets, progress, candidate)
        end(state, _last(state))
    except BudgetError as error:
        near = error.nearest if isinstance(error.nearest, State) else None
        end(near, sentence(str(error)) + ("" if near is None else f" The nearest: {_last(near)}"))
    except WorkbenchError as error:
        end(None, sentence(str(error)))
    except _Stopped:
        pass
    except Exception as error:
        # A defect of ours or of a dependency: say so instead of looking for ever, and let the kernel log it.
        end(None, f"{type(error).__name__}: {error}")
        raise


def _last(state: State) -> str:
    return str(state.changes[-1]) if state.changes else "the budgets are met as it is"
