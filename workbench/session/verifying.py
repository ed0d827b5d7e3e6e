"""The session's network compiled, or run, for real."""

from typing import TYPE_CHECKING

from ..errors import InputError, SurgeryError
from ..graph import as_built
from ..hardware import Measurement
from .opening import weights_of

if TYPE_CHECKING:
    from .core import Session

__all__ = ["measured"]


def measured(session: "Session", timeout_s: float | None = None) -> tuple[Measurement, str]:
    """What the target says of the network, and whose weights it saw; nothing is kept."""
    if timeout_s is not None and not timeout_s > 0:
        raise InputError(f"timeout_s is {timeout_s!r}; it must be above 0 seconds, such as 120")
    graph, weights, said = session.graph, None, "seeded random values, the model is untrained"
    if session.tuned is not None or session.base.weights != "initial":
        try:
            source = session.tuned.said if session.tuned is not None else session.base.weights
            graph, weights, said = as_built(graph), weights_of(session.build()), source
        except SurgeryError as error:
            said = f"seeded random values, because the edited module cannot be built ({error})"
    limit = {} if timeout_s is None else {"time_limit_s": timeout_s}
    return session.target.measure_graph(graph, weights, **limit), said
