"""Recurrent layers and cells: one operator a layer and direction, over time that stands first.

T, B, H     steps, sequences, width of the state
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from .steps import CompositeRule, Shape, Steps, Value
from .values import Constant, FeatureMap

__all__ = ["RECURRENT_COMPOSITES"]

_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _layers(s: Steps, a: Mapping[str, Any], out: Shape, kind: str, **attrs: Any) -> Value | None:
    """Layer after layer, and in both directions; states begin with zeros or, but for an LSTM's, with what is read."""
    x, directions, count = a.get("input"), 1 + bool(a.get("bidirectional")), 4 if a.get("has_biases") else 2
    params, begins = a.get("params") or (), _begins(a.get("hx"), kind != "lstm")
    if x is None or len(x.shape) != 3 or len(params) != count * directions * a["num_layers"] or begins is None:
        return None
    y: Value = s.permute(x, 1, 0, 2) if a["batch_first"] else x
    width = out[-1] // directions
    last: list[Value] = []
    for layer in range(a["num_layers"]):
        ways = []
        for way in range(directions):
            number = layer * directions + way
            roles = dict(zip(_ROLES, params[count * number : count * (number + 1)], strict=False))
            state = [s.cut(v, 0, number, number + 1) for v in begins]
            z = s.step(kind, [y, *state], (*y.shape[:2], width), roles, reverse=bool(way), **attrs)
            end = 0 if way else y.shape[0] - 1
            last.append(s.cut(z, 0, end, end + 1))
            ways.append(z)
        y = ways[0] if directions == 1 else s.step("concat", ways, (*y.shape[:2], 2 * width), axis=2)
    if kind != "lstm":
        s.others = (last[0] if len(last) == 1 else s.step("concat", last, (len(last), *last[0].shape[1:]), axis=0),)
    return s.permute(y, 1, 0, 2) if a["batch_first"] else y


def _cell(s: Steps, a: Mapping[str, Any], out: Shape, kind: str, **attrs: Any) -> Value | None:
    """One step [B, H]."""
    x, begins = a["input"], _begins(a["hx"], True)
    params = (a["w_ih"], a["w_hh"], a["b_ih"], a["b_hh"])
    if len(x.shape) != 2 or begins is None or not all(isinstance(v, Constant) for v in params[:2]):
        return None
    roles = {role: v for role, v in zip(_ROLES, params, strict=True) if isinstance(v, Constant)}
    y, *states = (s.reshape(v, (1, *v.shape)) for v in (x, *begins))
    return s.reshape(s.step(kind, [y, *states], (1, *out), roles, reverse=False, **attrs), out)


def _begins(state: Any, may_be_read: bool) -> Sequence[FeatureMap] | None:
    """The state that is read before the first step, none of zeros; None where it is another constant."""
    states = state if isinstance(state, list | tuple) else () if state is None else (state,)
    maps = [v for v in states if isinstance(v, FeatureMap)]
    zeros = [v for v in states if isinstance(v, Constant) and not v.roots and not v.key]
    return maps if len(maps) + len(zeros) == len(states) and (may_be_read or not maps) else None


RECURRENT_COMPOSITES: Mapping[str, CompositeRule] = {
    "lstm": partial(_layers, kind="lstm"),
    "gru": partial(_layers, kind="gru"),
    "rnn_tanh": partial(_layers, kind="rnn", activation="tanh"),
    "rnn_relu": partial(_layers, kind="rnn", activation="relu"),
    "gru_cell": partial(_cell, kind="gru"),
    "rnn_tanh_cell": partial(_cell, kind="rnn", activation="tanh"),
    "rnn_relu_cell": partial(_cell, kind="rnn", activation="relu"),
}
