"""ATen operators that are layers, norms, activations and arithmetic: their kind and attributes."""

from collections.abc import Mapping
from typing import Any

from .aten_rule import Arguments, Attrs, Operator, Rule, Shape, as_pair, plain, positive_axis

__all__ = ["LAYER_RULES"]


# ---- layers -----------------------------------------------------------------------------------------------------


def _conv2d(a: Arguments, out: Shape) -> Operator | None:
    kernel, dilation = tuple(a["weight"][2:]), as_pair(a["dilation"])
    padding = a["padding"]
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(s % 2 for s in spans):
            return None
        padding = tuple(s // 2 for s in spans)
    return "conv2d", {
        "kernel": kernel, "stride": as_pair(a["stride"]), "padding": as_pair(padding), "dilation": dilation,
        "groups": a["groups"],
    }  # fmt: skip


def _conv1d(a: Arguments, out: Shape) -> Operator | None:
    if isinstance(a["padding"], str):
        return None
    return "conv1d", {
        "kernel": a["weight"][2], "stride": a["stride"][0], "padding": a["padding"][0], "dilation": a["dilation"][0],
        "groups": a["groups"],
    }  # fmt: skip


def _conv_transpose2d(a: Arguments, out: Shape) -> Operator:
    pairs = {key: as_pair(a[key]) for key in ("stride", "padding", "output_padding", "dilation")}
    return "conv_transpose2d", {"kernel": tuple(a["weight"][2:]), **pairs, "groups": a["groups"]}


def _batch_norm(a: Arguments, out: Shape) -> Operator | None:
    if a["training"] or a["running_mean"] is None:
        return None  # the statistics of the input itself: an instance norm
    return "batch_norm", {"eps": a["eps"]}


def _layer_norm(a: Arguments, out: Shape) -> Operator:
    return "layer_norm", {"eps": a["eps"], "axes": tuple(range(len(out) - len(a["normalized_shape"]), len(out)))}


def _rms_norm(a: Arguments, out: Shape) -> Operator | None:
    if a["eps"] is None:
        return None  # depends on the number format
    return "rms_norm", {"eps": a["eps"], "axes": tuple(range(len(out) - len(a["normalized_shape"]), len(out)))}


def _group_norm(a: Arguments, out: Shape) -> Operator:
    return "group_norm", {"eps": a["eps"], "groups": a["num_groups"]}


# ---- activations and arithmetic ---------------------------------------------------------------------------------


def _clamp(low: Any, high: Any) -> Operator | None:
    if isinstance(low, tuple) or isinstance(high, tuple):
        return None  # bounds that are tensors
    if low == 0 and high is None:
        return "relu", {}
    if low == 0 and high == 6:
        return "relu6", {}
    return "clamp", {"low": low, "high": high}


def _gelu(a: Arguments, out: Shape) -> Operator:
    return "gelu", {} if a["approximate"] == "none" else {"approximate": a["approximate"]}


def _elu(a: Arguments, out: Shape) -> Operator | None:
    attrs = {name: float(a[name]) for name in ("alpha", "scale", "input_scale") if a[name] != 1}
    return "elu", attrs


def _selu(a: Arguments, out: Shape) -> Operator:
    return "elu", {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}


def _celu(a: Arguments, out: Shape) -> Operator:
    return "elu", {"alpha": float(a["alpha"]), "input_scale": 1 / a["alpha"]}


def _instance_norm(a: Arguments, out: Shape) -> Operator | None:
    """With the statistics of the input itself; with its own running ones it is a batch norm."""
    return ("instance_norm", {"eps": a["eps"]}) if a["use_input_stats"] else None


def _softplus(a: Arguments, out: Shape) -> Operator | None:
    return ("softplus", {}) if (a["beta"], a["threshold"]) == (1, 20) else None


def _softmax(a: Arguments, out: Shape) -> Operator:
    return "softmax", {"axis": positive_axis(a["dim"], len(out))}


def _log_softmax(a: Arguments, out: Shape) -> Operator:
    return "log_softmax", {"axis": positive_axis(a["dim"], len(out))}


def _pow(a: Arguments, out: Shape) -> Operator | None:
    exponent = a.get("exponent")
    return ("pow", {"exponent": exponent}) if isinstance(exponent, int | float) and "self" in a else None


def _addcmul(a: Arguments, out: Shape) -> Operator | None:
    return ("addcmul", {}) if a["value"] == 1 else None


def _binary(kind: str, reverse: bool = False) -> Rule:
    def rule(a: Arguments, out: Shape) -> Operator | None:
        left, right = a["self"], a["other"]
        if a.get("alpha", 1) != 1 or a.get("rounding_mode") is not None:
            return None
        back = reverse
        if isinstance(left, int | float):
            left, right, back = right, left, not back
        attrs: Attrs = {"scalar": right} if isinstance(right, int | float) else {}
        if back and not attrs:
            return None
        if back and kind in ("sub", "div"):
            attrs["reverse"] = True
        return kind, attrs

    return rule


LAYER_RULES: Mapping[str, Rule] = {
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "conv_transpose2d": _conv_transpose2d,
    "linear": plain("linear"),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    **{name: plain(name) for name in "relu relu6 silu sigmoid tanh mish exp log sqrt rsqrt abs neg prelu".split()},
    "hardswish": plain("hard_swish"),
    "hardsigmoid": plain("hard_sigmoid"),
    "gelu": _gelu,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "softplus": _softplus,
    **{name: _softmax for name in ("softmax", "_softmax")},
    **{name: _log_softmax for name in ("log_softmax", "_log_softmax")},
    "leaky_relu": lambda a, out: ("leaky_relu", {"slope": a["negative_slope"]}),
    "hardtanh": lambda a, out: _clamp(a["min_val"], a["max_val"]),
    "clamp": lambda a, out: _clamp(a["min"], a["max"]),
    "clamp_min": lambda a, out: _clamp(a["min"], None),
    "clamp_max": lambda a, out: _clamp(None, a["max"]),
    "pow": _pow,
    "square": lambda a, out: ("pow", {"exponent": 2}),
    "add": _binary("add"),
    "sub": _binary("sub"),
    "subtract": _binary("sub"),
    "rsub": _binary("sub", reverse=True),
    "mul": _binary("mul"),
    "multiply": _binary("mul"),
    "div": _binary("div"),
    "divide": _binary("div"),
    "true_divide": _binary("div"),
    "reciprocal": lambda a, out: ("div", {"scalar": 1.0, "reverse": True}),
    "maximum": plain("maximum"),
    "minimum": plain("minimum"),
    "addcmul": _addcmul,
}
