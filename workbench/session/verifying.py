"""The session's network through the target's compiler, beside the estimate."""

from typing import TYPE_CHECKING

from ..errors import InputError, SurgeryError
from ..estimators import keep
from ..graph import as_built
from .opening import weights_of
from .tables import Verification, verification

if TYPE_CHECKING:
    from .core import Session

__all__ = ["verify"]


def verify(session: "Session", timeout_s: float | None = None) -> Verification:
    """See `Session.verify`."""
    graph, weights, said = session.graph, None, "seeded random values, the model is untrained"
    if session.tuned is not None or session.base.weights != "initial":
        try:
            source = session.tuned.said if session.tuned is not None else session.base.weights
            graph, weights, said = as_built(graph), weights_of(session.build()), source
        except SurgeryError as error:
            said = f"seeded random values, because the edited module cannot be built ({error})"
    if timeout_s is not None and not timeout_s > 0:
        raise InputError(f"timeout_s is {timeout_s!r}; it must be above 0 seconds, such as 120")
    limit = {} if timeout_s is None else {"time_limit_s": timeout_s}
    measured = session.target.measure_graph(graph, weights, **limit)
    result = verification(measured, session.try_estimate, said)
    if keep(session.graph, session.target, measured, session.weight_values):
        session.forget_estimates()
    return result
