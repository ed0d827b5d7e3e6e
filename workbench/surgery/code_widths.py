"""Widths that the code of timm's classes holds as numbers, one rule a class.

A stale number is worse than a crash: GhostModule slices its output at `out_chs` without a word. What an entry
needs is read off the planned graph, so that one rule serves every edit.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import nn

from ..graph import Graph, Op
from ..graph.kinds import PLAIN_LAYERS
from ..graph.paths import is_inside

__all__ = ["set_code_widths"]

_T = TypeVar("_T")


def set_code_widths(model: nn.Module, before: Graph, after: Graph) -> None:
    """Bring the widths that modules' code holds in line with the graph after an edit."""
    for path, module in model.named_modules():
        rule = _by_class(_RULES, module)
        if rule is not None:
            inside = [op for op in after.ops if is_inside(op.module, path)]
            if inside:
                rule(module, path, inside, after)
    _set_feature_counts(model, before, after)


def _by_class(table: Mapping[str, _T], module: nn.Module) -> _T | None:
    """The entry for the module's class, or for the nearest of timm's it is derived from; None where there is none.

    The tables name timm's classes; a user's class of the same name has code of its own.
    """
    ancestors = (cls.__name__ for cls in type(module).__mro__ if cls.__module__.startswith("timm."))
    return next((table[name] for name in ancestors if name in table), None)


def _ghost(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """GhostModule: forward ends with out[:, :out_chs]; where nothing is cut off the slice is not in the graph."""
    joins = [op for op in inside if op.module == path and op.kind in ("concat", "slice")]
    module.out_chs = joins[-1].shape[1]


def _ghost_v3(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """GhostModuleV3: as GhostModule, and its branches are merged by the width of the first half."""
    _ghost(module, path, inside, graph)
    module.in_channels = module.groups = module.cheap_rpr_skip.num_features


def _blur(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """BlurPool2d: one filter, a constant, for each of its channels."""
    if module.channels is not None:
        module.channels = len(module.filt)
        module.init_non_persistent_buffers()


def _partial_residual(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """LinearBottleneck of rexnet: the input is added into the first `in_channels` of `out_channels`."""
    module.in_channels, module.out_channels = _read(inside, graph)[1], inside[-1].shape[1]


def _mixed(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """MixedConv2d: splits its input by `splits`."""
    weights = [op.param("weight") for op in inside if op.kind == "conv2d"]
    groups = [op["groups"] for op in inside if op.kind == "conv2d"]
    module.splits = [w.shape[1] * g for w, g in zip(weights, groups, strict=True) if w is not None]


def _selective(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """SelectiveKernel: splits its input into equal parts of in_channels // num_paths, or hands all of it to each."""
    first = next(op for op in inside if op.kind == "conv2d")
    read = first.param("weight")
    assert read is not None
    width = read.shape[1] * first["groups"]
    module.in_channels = width * module.num_paths if module.split_input else width


def _equal_splits(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """Res2Net's blocks: split what conv1 makes into parts of `width`."""
    parts = _slices(path, inside)
    if parts:
        module.width = parts[0].shape[1]


def _halves(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """Stages of CspNet: split into halves of expand_chs // 2."""
    parts = _slices(path, inside)
    if parts:
        module.expand_chs = 2 * parts[0].shape[1]


def _dual_path(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """DualPathBlock: the first num_1x1_c channels are the residual path."""
    module.num_1x1_c = next(op for op in inside if op.kind == "add" and op.module == path).shape[1]


def _partial_conv(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """Partial_conv3 of FasterNet: convolves the first dim_conv3 channels, leaves dim_untouched."""
    weight = next(op for op in inside if op.kind == "conv2d").param("weight")
    assert weight is not None
    module.dim_conv3 = weight.shape[1]
    module.dim_untouched = _read(inside, graph)[1] - weight.shape[1]


def _inception(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """InceptionDWConv2d: what passes and what each of its depthwise convolutions reads."""
    convs = [op.shape[1] for op in inside if op.kind == "conv2d"]
    module.split_indexes = (_read(inside, graph)[1] - sum(convs), *convs)


def _gated(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """GatedConvBlock of MambaOut: gate, what passes, and what is convolved."""
    module.split_indices = [op.shape[-1] for op in _slices(path, inside)]


def _focal(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """FocalModulation: query, context and one gate a level."""
    module.input_split = [op.shape[1] for op in _slices(path, inside)][:3]


def _state_space(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """HSMSSD of EfficientViM: three parts of `state_dim`, then two of `d_inner`."""
    widths = [op.shape[1] for op in _slices(path, inside)]
    module.state_dim, module.d_inner = widths[0], widths[-1]


def _single_head(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """SHSA of SHViT: attention on the first `pdim` of `dim` channels; queries and keys of `qk_dim`."""
    _, _, queries, _, values = (op.shape[1] for op in _slices(path, inside))
    module.dim, module.qk_dim, module.pdim = _read(inside, graph)[1], queries, values


def _cascaded(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """CascadedGroupAttention of EfficientViT: queries and keys of `key_dim`, values of `val_dim` in every head."""
    cut = [op for op in _slices(path, inside) if graph.by_name[op.inputs[0]].module.startswith(f"{path}.qkvs.")]
    module.key_dim, _, module.val_dim = (op.shape[1] for op in cut[:3])


def _separable_attention(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """LinearSelfAttention of MobileViTv2: one channel of queries, then keys and values of `embed_dim` each."""
    module.embed_dim = _slices(path, inside)[-1].shape[1]


def _head(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """Classifier heads: reset() builds the new classifier from these."""
    read = _source(inside, graph)
    layout = graph.channels.layout.get(read.name)
    if hasattr(module, "in_features"):
        module.in_features = read.shape[layout.axis if layout is not None else 1]
    last = next((op for op in reversed(inside) if op.kind == "linear"), None)
    weight = last.param("weight") if last is not None else None
    if weight is not None and hasattr(module, "num_features"):
        module.num_features = weight.shape[1]
        if getattr(module, "hidden_size", None):
            module.hidden_size = weight.shape[1]


def _scale(module: Any, path: str, inside: list[Op], graph: Graph) -> None:
    """Scale of MetaFormer: views its parameter in a shape it keeps."""
    module.shape = (len(module.scale), *module.shape[1:])


def _slices(path: str, inside: list[Op]) -> list[Op]:
    return [op for op in inside if op.kind == "slice" and op.module == path]


def _read(inside: list[Op], graph: Graph) -> tuple[int, ...]:
    """Shape of the first tensor a module reads."""
    return _source(inside, graph).shape


def _source(inside: list[Op], graph: Graph) -> Op:
    names = {op.name for op in inside}
    return graph.by_name[next(i for op in inside for i in op.inputs if i not in names)]


_RULES: Mapping[str, Callable[[Any, str, list[Op], Graph], None]] = {
    "GhostModule": _ghost,
    "GhostModuleV2": _ghost,
    "GhostModuleV3": _ghost_v3,
    "BlurPool2d": _blur,
    "LinearBottleneck": _partial_residual,
    "MixedConv2d": _mixed,
    "SelectiveKernel": _selective,
    "Bottle2neck": _equal_splits,
    "DlaBottle2neck": _equal_splits,
    "CrossStage": _halves,
    "CrossStage3": _halves,
    "DualPathBlock": _dual_path,
    "Partial_conv3": _partial_conv,
    "GatedConvBlock": _gated,
    "InceptionDWConv2d": _inception,
    "FocalModulation": _focal,
    "HSMSSD": _state_space,
    "SHSA": _single_head,
    "CascadedGroupAttention": _cascaded,
    "LinearSelfAttention": _separable_attention,
    "Scale": _scale,
    "ClassifierHead": _head,
    "ClsHead": _head,
    "MlpHead": _head,
    "MlpClassifierHead": _head,
    "NormMlpClassifierHead": _head,
    "ClNormMlpClassifierHead": _head,
}


# Where the names of feature_info are no modules: what stands for them.
_TAPS: Mapping[str, Callable[[str], str]] = {
    "HighResolutionNet": lambda name: f"incre_modules.{int(name[-1]) - 1}" if name.startswith("stage") else "act2",
    "EfficientViM": lambda name: f"{name}.blocks",
    "TResNet": lambda name: name or "body.conv1",
    "MultiScaleVit": lambda name: name.replace("block.", "stages."),
}


def _set_feature_counts(model: nn.Module, before: Graph, after: Graph) -> None:
    """num_features, head_hidden_size, embed_dim and feature_info, where they told the truth before the edit."""
    rows = _rows(model)
    last = rows[-1].get("module", "") if rows else ""
    facts = {
        "num_features": (_pooled, partial(_width_at, path=last), _classified),
        "head_hidden_size": (_classified, _pooled),
        "embed_dim": (_classified,),
    }
    for name, counts in facts.items():
        true = next((count for count in counts if count(before) and count(before) == getattr(model, name, None)), None)
        if true is not None:
            setattr(model, name, true(after))
    for prefix, module in model.named_modules():  # the model itself, and a backbone inside it
        tap = _by_class(_TAPS, module) or str
        for row in _rows(module):
            path = f"{prefix}.{tap(row.get('module', ''))}".lstrip(".")
            for key, fact in (("num_chs", _width_at), ("reduction", _reduction_at)):
                old = fact(before, path)
                if old and row.get(key) == old:
                    row[key] = fact(after, path)


def _rows(module: nn.Module) -> list[dict[str, Any]]:
    """The rows of a timm model's feature_info, none of other modules."""
    info = getattr(module, "feature_info", None)
    info = getattr(info, "info", info)
    return [row for row in info if isinstance(row, dict)] if isinstance(info, list | tuple) else []


def _pooled(graph: Graph) -> int:
    """Channels of the last feature map: what the last global pooling reads."""
    pools = [op for op in graph.ops if op.kind == "mean" and len(graph.by_name[op.inputs[0]].shape) == 4]
    return graph.by_name[pools[-1].inputs[0]].shape[1] if pools else 0


def _classified(graph: Graph) -> int:
    """Channels the classifier reads."""
    layers = [op for op in graph.ops if op.kind in PLAIN_LAYERS]
    weight = layers[-1].param("weight") if layers else None
    return weight.shape[1] if weight is not None else 0


def _width_at(graph: Graph, path: str) -> int:
    feature_map = _feature_map(graph, path)
    return feature_map.shape[_axis(graph, feature_map)] if feature_map is not None else 0


def _reduction_at(graph: Graph, path: str) -> int:
    """Input pixels per pixel of the map a module makes."""
    feature_map, image = _feature_map(graph, path), graph.inputs[0].shape
    if feature_map is None or len(image) != 4 or len(feature_map.shape) != 4:
        return 0
    return round(image[2] / feature_map.shape[2 if _axis(graph, feature_map) == 1 else 1])


def _axis(graph: Graph, op: Op) -> int:
    layout = graph.channels.layout.get(op.name)
    return layout.axis if layout is not None else 1


def _feature_map(graph: Graph, path: str) -> Op | None:
    """The operator that makes the feature map of a module; None where it makes none.

    An identity hands on the map that the last global pooling reads.
    """
    inside = [op for op in graph.ops if is_inside(op.module, path)]
    if not inside and graph.classes.get(path, "").endswith(".Identity"):
        pools = [op for op in graph.ops if op.kind == "mean" and len(graph.by_name[op.inputs[0]].shape) == 4]
        inside = [graph.by_name[pool.inputs[0]] for pool in pools[-1:]]
    return inside[-1] if path and inside and len(inside[-1].shape) > 2 else None
