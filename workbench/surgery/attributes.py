"""Widths that timm's classes hold in their code's own attributes, one entry a class.

A stale number is worse than a crash: GhostModule slices its output at `out_chs` without a word. What an entry
needs is read off the planned graph, so that one rule serves every edit.
"""

from collections.abc import Callable, Mapping

from torch import nn

from ..graph import Graph, Op

__all__ = ["set_attributes"]


def set_attributes(model: nn.Module, before: Graph, after: Graph) -> None:
    """Bring attributes held in code in line with the edited graph."""
    for path, module in model.named_modules():
        rule = _RULES.get(type(module).__name__)
        if rule is not None:
            inside = [op for op in after.ops if op.module == path or op.module.startswith(path + ".")]
            if inside:
                rule(module, path, inside, after)
    _set_feature_counts(model, before, after)


def _ghost(module: nn.Module, path: str, inside: list[Op], graph: Graph) -> None:
    """GhostModule: forward ends with out[:, :out_chs]; where nothing is cut off the slice is not in the graph."""
    own = [op for op in inside if op.module == path and op.kind in ("concat", "slice")]
    module.out_chs = own[-1].shape[1]


def _partial_residual(module: nn.Module, path: str, inside: list[Op], graph: Graph) -> None:
    """LinearBottleneck of rexnet: the input is added into the first `in_channels` of `out_channels`."""
    names = {op.name for op in inside}
    outside = next(i for op in inside for i in op.inputs if i not in names)
    module.in_channels, module.out_channels = graph.by_name[outside].shape[1], inside[-1].shape[1]


def _mixed(module: nn.Module, path: str, inside: list[Op], graph: Graph) -> None:
    """MixedConv2d: splits its input by `splits`."""
    weights = [op.param("weight") for op in inside if op.kind == "conv2d"]
    groups = [op["groups"] for op in inside if op.kind == "conv2d"]
    module.splits = [w.shape[1] * g for w, g in zip(weights, groups, strict=True) if w is not None]


_RULES: Mapping[str, Callable[[nn.Module, str, list[Op], Graph], None]] = {
    "GhostModule": _ghost,
    "GhostModuleV2": _ghost,
    "LinearBottleneck": _partial_residual,
    "MixedConv2d": _mixed,
}


def _set_feature_counts(model: nn.Module, before: Graph, after: Graph) -> None:
    """num_features, head_hidden_size and feature_info, where they told the truth before the edit."""
    for name, counts in (("num_features", _pooled), ("head_hidden_size", _classified)):
        if getattr(model, name, None) == counts(before) and counts(before):
            setattr(model, name, counts(after))
    info = getattr(model, "feature_info", None)
    rows = getattr(info, "info", info)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("num_chs") == _width_at(before, row.get("module", "")):
            row["num_chs"] = _width_at(after, row["module"])


def _pooled(graph: Graph) -> int:
    """Channels of the last feature map: what the last global pooling reads."""
    pools = [op for op in graph.ops if op.kind == "mean" and len(graph.by_name[op.inputs[0]].shape) == 4]
    return graph.by_name[pools[-1].inputs[0]].shape[1] if pools else 0


def _classified(graph: Graph) -> int:
    layers = [op for op in graph.ops if op.kind == "linear"]
    weight = layers[-1].param("weight") if layers else None
    return weight.shape[1] if weight is not None else 0


def _width_at(graph: Graph, path: str) -> int:
    inside = [op for op in graph.ops if op.module == path or op.module.startswith(path + ".")]
    return inside[-1].shape[1] if path and inside and len(inside[-1].shape) == 4 else 0
