"""The network of a state compiled, or run, for real."""

import pandas as pd
import torch

from ..errors import InputError
from ..estimators import keep
from ..hardware import Measurement
from ..state import State, Verification, check_images
from ..state.tables import verification
from ..surgery import build_state, fidelity, measured_weights, require_one_image

__all__ = ["fidelity_of", "measure", "verify"]


def measure(state: State, timeout_s: float | None = None) -> tuple[Measurement, str]:
    """What the target's compiler or device says of the network, and whose weights it saw; nothing is kept.

    timeout_s: seconds it may take; None: the target's own limit. Raises InputError for a limit that is none.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise InputError(f"timeout_s is {timeout_s!r}; it must be above 0 seconds, such as 120")
    graph, weights, source = measured_weights(state)
    limit = {} if timeout_s is None else {"time_limit_s": timeout_s}
    return state.target.measure_graph(graph, weights, **limit), source


def verify(state: State, timeout_s: float | None = None) -> Verification:
    """See `Session.verify`."""
    measurement, weights = measure(state, timeout_s)
    result = verification(measurement, state.try_estimate, weights)
    keep(state.graph, state.target, measurement, state.weight_values)
    return result


def fidelity_of(state: State, images: torch.Tensor, calibration: torch.Tensor | None, distil: int) -> pd.DataFrame:
    """See `Session.fidelity`."""
    require_one_image(state, "fidelity")
    check_images(images, "images", state.input_size)
    edited = build_state(state, images if calibration is None else calibration, distil)
    return fidelity(state.base.module, edited, state.base.graph, state.graph, images)
