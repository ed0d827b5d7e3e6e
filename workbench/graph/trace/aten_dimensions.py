"""ATen operators that pool, reduce, reorder, cut, join and multiply along dimensions: their kind and attributes."""

from collections.abc import Mapping

from ..reshapes import reshape_dims
from .aten_rule import Arguments, Attrs, Operator, Rule, Shape, as_pair, positive_axis

__all__ = ["DIMENSION_RULES"]


# ---- pooling and reductions -------------------------------------------------------------------------------------


def _max_pool2d(a: Arguments, out: Shape) -> Operator:
    return "max_pool2d", {
        "kernel": as_pair(a["kernel_size"]), "stride": as_pair(a["stride"] or a["kernel_size"]),
        "padding": as_pair(a["padding"]), "dilation": as_pair(a["dilation"]), "ceil": a["ceil_mode"],
    }  # fmt: skip


def _avg_pool2d(a: Arguments, out: Shape) -> Operator | None:
    if a["divisor_override"] is not None:
        return None
    return "avg_pool2d", {
        "kernel": as_pair(a["kernel_size"]), "stride": as_pair(a["stride"] or a["kernel_size"]),
        "padding": as_pair(a["padding"]), "ceil": a["ceil_mode"], "count_include_pad": a["count_include_pad"],
    }  # fmt: skip


def _avg_pool1d(a: Arguments, out: Shape) -> Operator | None:
    if a["padding"][0] or a["ceil_mode"]:
        return None
    return "avg_pool1d", {"kernel": a["kernel_size"][0], "stride": (a["stride"] or a["kernel_size"])[0]}


def _adaptive_avg_pool2d(a: Arguments, out: Shape) -> Operator:
    if tuple(out[-2:]) == (1, 1):
        return "mean", {"axes": (len(out) - 2, len(out) - 1), "keepdim": True}
    return "adaptive_avg_pool2d", {"size": tuple(out[-2:])}


def _adaptive_max_pool2d(a: Arguments, out: Shape) -> Operator:
    return "adaptive_max_pool2d", {"size": tuple(out[-2:])}


def _reduction(kind: str) -> Rule:
    def rule(a: Arguments, out: Shape) -> Operator:
        rank = len(a["self"])
        axes = a.get("dim")
        axes = [axes] if isinstance(axes, int) else axes or range(rank)
        return kind, {
            "axes": tuple(sorted(positive_axis(d, rank) for d in axes)),
            "keepdim": bool(a.get("keepdim", False)),
        }

    return rule


def _var(a: Arguments, out: Shape) -> Operator | None:
    correction = a.get("correction", 1 if a.get("unbiased", True) else 0)
    kind, attrs = _reduction("var")(a, out) or ("", {})
    return kind, {**attrs, "correction": 1 if correction is None else int(correction)}


def _norm(a: Arguments, out: Shape) -> Operator | None:
    return _reduction("norm")(a, out) if a["ord"] == 2 else None


# ---- shape ------------------------------------------------------------------------------------------------------


def _reshape(a: Arguments, out: Shape) -> Operator:
    return "reshape", {"dims": reshape_dims(a["self"], out)}


def _flatten(a: Arguments, out: Shape) -> Operator:
    rank = len(a["self"])
    start, end = positive_axis(a["start_dim"], rank), positive_axis(a["end_dim"], rank)
    dims = [(d,) for d in range(start)] + [tuple(range(start, end + 1))] + [(d,) for d in range(end + 1, rank)]
    return "reshape", {"dims": tuple(dims)}


def _squeeze(a: Arguments, out: Shape) -> Operator:
    shape, axes = a["self"], a.get("dim")
    axes = range(len(shape)) if axes is None else [axes] if isinstance(axes, int) else axes
    squeezed = {d for d in (positive_axis(d, len(shape)) for d in axes) if shape[d] == 1}
    return "reshape", {"dims": tuple((d,) for d in range(len(shape)) if d not in squeezed)}


def _unsqueeze(a: Arguments, out: Shape) -> Operator:
    dims: list[tuple[int, ...]] = [(d,) for d in range(len(a["self"]))]
    dims.insert(positive_axis(a["dim"], len(out)), ())
    return "reshape", {"dims": tuple(dims)}


def _permute(a: Arguments, out: Shape) -> Operator:
    rank = len(out)
    return "permute", {"axes": tuple(positive_axis(d, rank) for d in a["dims"])}


def _transpose(a: Arguments, out: Shape) -> Operator:
    rank = len(out)
    first, second = (positive_axis(a[key], rank) for key in ("dim0", "dim1"))
    axes = list(range(rank))
    axes[first], axes[second] = axes[second], axes[first]
    return "permute", {"axes": tuple(axes)}


def _matrix_transpose(a: Arguments, out: Shape) -> Operator:
    rank = len(out)
    return "permute", {"axes": (*range(rank - 2), rank - 1, rank - 2)}


def _concat(a: Arguments, out: Shape) -> Operator:
    return "concat", {"axis": positive_axis(a["dim"], len(out))}


def _slice(a: Arguments, out: Shape) -> Operator:
    shape = a["self"]
    axis = positive_axis(a["dim"], len(shape))
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(shape[axis])
    return "slice", {"axis": axis, "start": start, "stop": stop, "step": step}


def _narrow(a: Arguments, out: Shape) -> Operator:
    return _slice({**a, "end": a["start"] + a["length"], "step": 1}, out)


def _pad(a: Arguments, out: Shape) -> Operator | None:
    mode = a.get("mode", "constant")
    if mode not in ("constant", "reflect"):
        return None
    sizes = list(a["pad"])
    pads = [(0, 0)] * (len(out) - len(sizes) // 2)
    pads += [(sizes[k], sizes[k + 1]) for k in range(len(sizes) - 2, -1, -2)]
    if mode == "reflect":
        return "reflect_pad", {"pads": tuple(pads)}
    return "pad", {"pads": tuple(pads), "value": float(a["value"] or 0.0)}


def _expand(a: Arguments, out: Shape) -> Operator:
    return "expand", {"size": out}


def _repeat_interleave(a: Arguments, out: Shape) -> Operator | None:
    if a["dim"] is None or a["self"][a["dim"]] != 1:
        return None
    return "expand", {"size": out}  # of one, in whatever order


def _roll(a: Arguments, out: Shape) -> Operator | None:
    if not a["dims"]:
        return None  # over the flattened tensor
    return "roll", {"axes": tuple(positive_axis(d, len(out)) for d in a["dims"]), "shifts": tuple(a["shifts"])}


def _resize(mode: str) -> Rule:
    def rule(a: Arguments, out: Shape) -> Operator:
        attrs: Attrs = {"mode": mode, "size": tuple(out[2:])}
        return "resize", {**attrs, "align_corners": True} if a.get("align_corners") else attrs

    return rule


# ---- products ---------------------------------------------------------------------------------------------------


def _matmul(a: Arguments, out: Shape) -> Operator | None:
    shapes = [value for value in a.values() if isinstance(value, tuple)]
    return ("matmul", {}) if all(len(shape) >= 2 for shape in shapes) else None


def _attention(a: Arguments, out: Shape) -> Operator:
    attrs: Attrs = {}
    if a["scale"] is not None:
        attrs["scale"] = a["scale"]
    if a["is_causal"]:
        attrs["causal"] = True
    return "attention", attrs


DIMENSION_RULES: Mapping[str, Rule] = {
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "avg_pool1d": _avg_pool1d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "mean": _reduction("mean"),
    "sum": _reduction("sum"),
    "amax": _reduction("amax"),
    "amin": _reduction("amin"),
    "linalg_vector_norm": _norm,
    "var": _var,
    **{name: _reshape for name in "view reshape _unsafe_view view_as reshape_as unflatten".split()},
    "flatten": _flatten,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "permute": _permute,
    "transpose": _transpose,
    "t": _matrix_transpose,
    "mT": _matrix_transpose,
    "cat": _concat,
    "concat": _concat,
    "slice": _slice,
    "narrow": _narrow,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "roll": _roll,
    "expand": _expand,
    "expand_as": _expand,
    "repeat_interleave": _repeat_interleave,
    "upsample_nearest2d": _resize("nearest"),
    "upsample_bilinear2d": _resize("bilinear"),
    "upsample_bicubic2d": _resize("bicubic"),
    "matmul": _matmul,
    "bmm": _matmul,
    "mm": _matmul,
    "scaled_dot_product_attention": _attention,
}
