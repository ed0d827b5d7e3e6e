"""The network of a state compiled, or run, for real."""

from dataclasses import replace
from re import sub

import pandas as pd
import torch

from ..errors import InputError
from ..estimators import keep
from ..graph import Graph
from ..hardware import Measurement
from ..hardware.refused_operator import refused_operator
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
    if measurement.status in ("refused", "crashed") and state.target.compiles_tflite:
        measurement = replace(measurement, reason=measurement.reason + _refused_layer(state, measurement))
    result = verification(measurement, state.try_estimate, weights)
    keep(state.graph, state.target, measurement, state.weight_values)
    return result


def _refused_layer(state: State, whole: Measurement) -> str:
    """The words ", at LAYER (kind)" where the compiler names no layer and compiling parts of the network does."""
    paths = {op.module for op in state.graph.ops if op.module}
    if any(path in whole.reason.replace("'", " ").split() for path in paths):
        return ""

    def refuses(part: Graph) -> bool:
        answer = state.target.measure_graph(part, None)
        alike = sub(r"\d+", "", answer.reason) == sub(r"\d+", "", whole.reason)
        return answer.status == whole.status and (alike or whole.status == "crashed")

    op = refused_operator(state.graph, refuses)
    return "" if op is None else f", at {op.module or op.name} ({op.kind})"


def fidelity_of(state: State, images: torch.Tensor, calibration: torch.Tensor | None, distil: int) -> pd.DataFrame:
    """See `Session.fidelity`."""
    require_one_image(state, "fidelity")
    check_images(images, "images", state.input_size)
    edited = build_state(state, images if calibration is None else calibration, distil)
    return fidelity(state.base.module, edited, state.base.graph, state.graph, images)
