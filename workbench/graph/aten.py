"""What one exported ATen operator is called here, and its attributes, as `ir.py` lists them.

Pure Python: `tracer.py` binds the arguments by the operator's schema and hands them over with every tensor
replaced by its shape (a tuple). A rule returns None where the operator is used in a way the graph has no kind
for; it then keeps the exporter's name.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

__all__ = ["ELEMENTWISE", "PARAMETERS", "PASS_THROUGH", "RULES", "VIEWS", "Attrs", "reshape_dims"]

Shape = tuple[int, ...]
Dims = tuple[tuple[int, ...] | None, ...]
Attrs = dict[str, Any]
Rule = Callable[[Mapping[str, Any], Shape], "tuple[str, Attrs] | None"]

# Identities at inference; their consumers read what they read.
PASS_THROUGH = frozenset(
    "dropout feature_dropout alpha_dropout alias detach contiguous clone to _to_copy type_as positive lift_fresh_copy "
    "dropout_ feature_dropout_ alpha_dropout_".split()
)
# Operators whose output shares memory with their input: an in-place write to one is seen by the other.
VIEWS = frozenset(
    "view reshape view_as reshape_as flatten unflatten squeeze unsqueeze transpose permute t movedim swapaxes slice "
    "select narrow split split_with_sizes chunk unbind tensor_split expand expand_as".split()
)
# Operators that broadcast their inputs, so that an explicit expand in front of them does nothing.
ELEMENTWISE = frozenset("add sub mul div maximum minimum add_ sub_ mul_ div_".split())
# Arguments that are the operator's own parameters rather than feature maps.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "conv1d": ("weight", "bias"),
    "conv2d": ("weight", "bias"),
    "conv_transpose2d": ("weight", "bias"),
    "linear": ("weight", "bias"),
    "batch_norm": ("weight", "bias", "running_mean", "running_var"),
    "layer_norm": ("weight", "bias"),
    "group_norm": ("weight", "bias"),
    "rms_norm": ("weight",),
    "prelu": ("weight",),
}


def reshape_dims(before: Sequence[int], after: Sequence[int]) -> Dims:
    """Per output dimension the tuple of input dimensions it merges, () for a literal 1, None where it splits.

    The first dimension is the batch, so an output that starts with 1 only continues an input that does.

    >>> reshape_dims((1, 960, 7, 7), (1, 960 * 49))
    ((0,), (1, 2, 3))
    >>> reshape_dims((1, 64, 56, 56), (1, 2, 32, 56, 56))
    ((0,), None, None, (2,), (3,))
    """
    dims: list[tuple[int, ...] | None] = []
    i, j = 0, 0
    while j < len(after):
        if after[j] == 1 and (j > 0 or tuple(before[:1]) in ((1,), ())):
            takes = i < len(before) and before[i] == 1
            dims.append((i,) if takes else ())
            i, j = i + takes, j + 1
            continue
        if i == len(before):
            return (None,) * len(after)  # an empty tensor: nothing to follow
        first, made, size, want = i, j, before[i], after[j]
        i, j = i + 1, j + 1
        while size > want and size % want == 0 and j < len(after):
            want *= after[j]
            j += 1
        while i < len(before) and (size < want or size % want):
            size *= before[i]
            i += 1
            while size > want and size % want == 0 and j < len(after):
                want *= after[j]
                j += 1
        dims += [tuple(range(first, i))] if j == made + 1 and size == want else [None] * (j - made)
    if i < len(before) and dims and dims[-1] is not None and prod(before[i:]) == 1:
        dims[-1] += tuple(range(i, len(before)))
    return tuple(dims)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return (value, value)
    return (int(value[0]), int(value[-1]))


def _axis(axis: int, rank: int) -> int:
    return axis % rank if rank else 0


# ---- layers -----------------------------------------------------------------------------------------------------


def _conv2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    kernel, dilation = tuple(a["weight"][2:]), _pair(a["dilation"])
    padding = a["padding"]
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(s % 2 for s in spans):
            return None
        padding = tuple(s // 2 for s in spans)
    return "conv2d", {
        "kernel": kernel, "stride": _pair(a["stride"]), "padding": _pair(padding), "dilation": dilation,
        "groups": a["groups"],
    }  # fmt: skip


def _conv1d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if isinstance(a["padding"], str):
        return None
    return "conv1d", {
        "kernel": a["weight"][2], "stride": a["stride"][0], "padding": a["padding"][0], "dilation": a["dilation"][0],
        "groups": a["groups"],
    }  # fmt: skip


def _conv_transpose2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    pairs = {key: _pair(a[key]) for key in ("stride", "padding", "output_padding", "dilation")}
    return "conv_transpose2d", {"kernel": tuple(a["weight"][2:]), **pairs, "groups": a["groups"]}


def _batch_norm(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if a["training"] or a["running_mean"] is None:
        return None  # the statistics of the input itself: an instance norm
    return "batch_norm", {"eps": a["eps"]}


def _layer_norm(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "layer_norm", {"eps": a["eps"], "axes": tuple(range(len(out) - len(a["normalized_shape"]), len(out)))}


def _rms_norm(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if a["eps"] is None:
        return None  # depends on the number format
    return "rms_norm", {"eps": a["eps"], "axes": tuple(range(len(out) - len(a["normalized_shape"]), len(out)))}


def _group_norm(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "group_norm", {"eps": a["eps"], "groups": a["num_groups"]}


# ---- activations and arithmetic ---------------------------------------------------------------------------------


def _clamp(low: Any, high: Any) -> tuple[str, Attrs] | None:
    if isinstance(low, tuple) or isinstance(high, tuple):
        return None  # bounds that are tensors
    if low == 0 and high is None:
        return "relu", {}
    if low == 0 and high == 6:
        return "relu6", {}
    return "clamp", {"low": low, "high": high}


def _gelu(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "gelu", {} if a["approximate"] == "none" else {"approximate": a["approximate"]}


def _elu(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    return ("elu", {}) if (a["alpha"], a["scale"], a["input_scale"]) == (1, 1, 1) else None


def _softplus(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    return ("softplus", {}) if (a["beta"], a["threshold"]) == (1, 20) else None


def _softmax(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "softmax", {"axis": _axis(a["dim"], len(out))}


def _pow(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    exponent = a.get("exponent")
    return ("pow", {"exponent": exponent}) if isinstance(exponent, int | float) and "self" in a else None


def _addcmul(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    return ("addcmul", {}) if a["value"] == 1 else None


def _binary(kind: str, reverse: bool = False) -> Rule:
    def rule(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
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


# ---- pooling and reductions -------------------------------------------------------------------------------------


def _max_pool2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "max_pool2d", {
        "kernel": _pair(a["kernel_size"]), "stride": _pair(a["stride"] or a["kernel_size"]),
        "padding": _pair(a["padding"]), "dilation": _pair(a["dilation"]), "ceil": a["ceil_mode"],
    }  # fmt: skip


def _avg_pool2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if a["divisor_override"] is not None:
        return None
    return "avg_pool2d", {
        "kernel": _pair(a["kernel_size"]), "stride": _pair(a["stride"] or a["kernel_size"]),
        "padding": _pair(a["padding"]), "ceil": a["ceil_mode"], "count_include_pad": a["count_include_pad"],
    }  # fmt: skip


def _avg_pool1d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if a["padding"][0] or a["ceil_mode"]:
        return None
    return "avg_pool1d", {"kernel": a["kernel_size"][0], "stride": (a["stride"] or a["kernel_size"])[0]}


def _adaptive_avg_pool2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    if tuple(out[-2:]) == (1, 1):
        return "mean", {"axes": (len(out) - 2, len(out) - 1), "keepdim": True}
    return "adaptive_avg_pool2d", {"size": tuple(out[-2:])}


def _adaptive_max_pool2d(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "adaptive_max_pool2d", {"size": tuple(out[-2:])}


def _reduction(kind: str) -> Rule:
    def rule(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
        rank = len(a["self"])
        axes = a.get("dim")
        axes = [axes] if isinstance(axes, int) else axes or range(rank)
        return kind, {"axes": tuple(sorted(_axis(d, rank) for d in axes)), "keepdim": bool(a.get("keepdim", False))}

    return rule


def _var(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    correction = a.get("correction", 1 if a.get("unbiased", True) else 0)
    kind, attrs = _reduction("var")(a, out) or ("", {})
    return kind, {**attrs, "correction": 1 if correction is None else int(correction)}


def _norm(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    return _reduction("norm")(a, out) if a["ord"] == 2 else None


# ---- shape ------------------------------------------------------------------------------------------------------


def _reshape(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "reshape", {"dims": reshape_dims(a["self"], out)}


def _flatten(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    rank = len(a["self"])
    start, end = _axis(a["start_dim"], rank), _axis(a["end_dim"], rank)
    dims = [(d,) for d in range(start)] + [tuple(range(start, end + 1))] + [(d,) for d in range(end + 1, rank)]
    return "reshape", {"dims": tuple(dims)}


def _squeeze(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    shape, axes = a["self"], a.get("dim")
    axes = range(len(shape)) if axes is None else [axes] if isinstance(axes, int) else axes
    gone = {d for d in (_axis(d, len(shape)) for d in axes) if shape[d] == 1}
    return "reshape", {"dims": tuple((d,) for d in range(len(shape)) if d not in gone)}


def _unsqueeze(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    dims: list[tuple[int, ...]] = [(d,) for d in range(len(a["self"]))]
    dims.insert(_axis(a["dim"], len(out)), ())
    return "reshape", {"dims": tuple(dims)}


def _permute(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    rank = len(out)
    return "permute", {"axes": tuple(_axis(d, rank) for d in a["dims"])}


def _transpose(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    rank = len(out)
    one, two = (_axis(a[key], rank) for key in ("dim0", "dim1"))
    axes = list(range(rank))
    axes[one], axes[two] = axes[two], axes[one]
    return "permute", {"axes": tuple(axes)}


def _matrix_transpose(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    rank = len(out)
    return "permute", {"axes": (*range(rank - 2), rank - 1, rank - 2)}


def _concat(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "concat", {"axis": _axis(a["dim"], len(out))}


def _slice(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    shape = a["self"]
    axis = _axis(a["dim"], len(shape))
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(shape[axis])
    return "slice", {"axis": axis, "start": start, "stop": stop, "step": step}


def _narrow(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return _slice({**a, "end": a["start"] + a["length"], "step": 1}, out)


def _pad(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    mode = a.get("mode", "constant")
    if mode not in ("constant", "reflect"):
        return None
    sizes = list(a["pad"])
    pads = [(0, 0)] * (len(out) - len(sizes) // 2)
    pads += [(sizes[k], sizes[k + 1]) for k in range(len(sizes) - 2, -1, -2)]
    if mode == "reflect":
        return "reflect_pad", {"pads": tuple(pads)}
    return "pad", {"pads": tuple(pads), "value": float(a["value"] or 0.0)}


def _expand(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    return "expand", {"size": out}


def _repeat_interleave(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if a["dim"] is None or a["self"][a["dim"]] != 1:
        return None
    return "expand", {"size": out}  # of one, in whatever order


def _roll(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    if not a["dims"]:
        return None  # over the flattened tensor
    return "roll", {"axes": tuple(_axis(d, len(out)) for d in a["dims"]), "shifts": tuple(a["shifts"])}


def _resize(mode: str) -> Rule:
    def rule(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
        attrs: Attrs = {"mode": mode, "size": tuple(out[2:])}
        return "resize", {**attrs, "align_corners": True} if a.get("align_corners") else attrs

    return rule


# ---- products ---------------------------------------------------------------------------------------------------


def _matmul(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs] | None:
    shapes = [value for value in a.values() if isinstance(value, tuple)]
    return ("matmul", {}) if all(len(shape) >= 2 for shape in shapes) else None


def _attention(a: Mapping[str, Any], out: Shape) -> tuple[str, Attrs]:
    attrs: Attrs = {}
    if a["scale"] is not None:
        attrs["scale"] = a["scale"]
    if a["is_causal"]:
        attrs["causal"] = True
    return "attention", attrs


def _plain(kind: str) -> Rule:
    return lambda a, out: (kind, {})


RULES: Mapping[str, Rule] = {
    "conv2d": _conv2d, "conv1d": _conv1d, "conv_transpose2d": _conv_transpose2d, "linear": _plain("linear"),
    "batch_norm": _batch_norm, "layer_norm": _layer_norm, "rms_norm": _rms_norm, "group_norm": _group_norm,
    **{name: _plain(name) for name in "relu relu6 silu sigmoid tanh mish exp sqrt rsqrt abs neg prelu".split()},
    "hardswish": _plain("hard_swish"), "hardsigmoid": _plain("hard_sigmoid"),
    "gelu": _gelu, "elu": _elu, "softplus": _softplus, "softmax": _softmax, "pow": _pow,
    "square": lambda a, out: ("pow", {"exponent": 2}),
    "leaky_relu": lambda a, out: ("leaky_relu", {"slope": a["negative_slope"]}),
    "hardtanh": lambda a, out: _clamp(a["min_val"], a["max_val"]),
    "clamp": lambda a, out: _clamp(a["min"], a["max"]),
    "clamp_min": lambda a, out: _clamp(a["min"], None),
    "clamp_max": lambda a, out: _clamp(None, a["max"]),
    "add": _binary("add"), "sub": _binary("sub"), "mul": _binary("mul"), "div": _binary("div"),
    "rsub": _binary("sub", reverse=True), "subtract": _binary("sub"), "multiply": _binary("mul"),
    "divide": _binary("div"), "true_divide": _binary("div"), "maximum": _plain("maximum"),
    "minimum": _plain("minimum"), "reciprocal": lambda a, out: ("div", {"scalar": 1.0, "reverse": True}),
    "max_pool2d": _max_pool2d, "avg_pool2d": _avg_pool2d, "avg_pool1d": _avg_pool1d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d, "adaptive_max_pool2d": _adaptive_max_pool2d,
    "mean": _reduction("mean"), "sum": _reduction("sum"), "amax": _reduction("amax"),
    "linalg_vector_norm": _norm, "var": _var,
    "roll": _roll, "expand": _expand, "expand_as": _expand,
    "repeat_interleave": _repeat_interleave, "addcmul": _addcmul,
    **{name: _reshape for name in "view reshape _unsafe_view view_as reshape_as unflatten".split()},
    "flatten": _flatten, "squeeze": _squeeze, "unsqueeze": _unsqueeze,
    "permute": _permute, "transpose": _transpose, "swapaxes": _transpose,
    "t": _matrix_transpose, "mT": _matrix_transpose,
    "cat": _concat, "concat": _concat, "slice": _slice, "narrow": _narrow, "pad": _pad, "constant_pad_nd": _pad,
    "upsample_nearest2d": _resize("nearest"), "upsample_bilinear2d": _resize("bilinear"),
    "upsample_bicubic2d": _resize("bicubic"),
    "matmul": _matmul, "bmm": _matmul, "mm": _matmul, "scaled_dot_product_attention": _attention,
}  # fmt: skip
