"""The compiler's verdict on every state the bench has been at, asked for in the background and kept on its node."""

from collections.abc import Callable, Iterator
from threading import Event

from ..errors import WorkbenchError
from ..hardware import Measurement
from ..state import State
from ..surgery import measured_weights
from .gestures import sentence
from .lanes import Lane

__all__ = ["Verdicts"]

_PAUSE_S = 0.5  # steps taken one after another are compiled once

Told = dict[tuple[int, str], Measurement]  # by number of the node and digest of the target


class Verdicts:
    """told: called once a verdict is there."""

    def __init__(self, free: Event, told: Callable[[], None]) -> None:
        self._told = told
        self.lane = Lane("compiler", free)
        self.known: Told = {}

    def forget(self) -> None:
        """Nodes of another model have the same numbers."""
        self.known = {}

    def ask(self, session: State, number: int | None, again: bool) -> bool:
        """Have a node's network compiled, where a compiler stands behind the target; whether it is at work.

        again: though its verdict is known.
        """
        unasked = (number, session.target.digest) not in self.known and session.target.compiles_tflite
        if number is None or not (unasked or again):
            return False
        known = self.known

        def work() -> Iterator[None]:
            yield
            known[number, session.target.digest] = _verdict(session)
            self._told()

        self.lane.start(work, _PAUSE_S)
        return True


def _verdict(session: State) -> Measurement:
    try:
        graph, weights, _ = measured_weights(session)
        return session.target.measure_graph(graph, weights)
    except WorkbenchError as error:  # weights that cannot be carried so far: there is nothing to compile
        return Measurement("refused", session.target.name, reason=sentence(str(error)))
