"""Widths that the code of classes holds as numbers: one rule a class of timm's, and the rules of a network's user.

A stale number is worse than a crash: GhostModule slices its output at `out_chs` without a word. What a rule gives is
read off the planned graph, so that one rule serves every edit.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import SurgeryError, WorkbenchError, first_line, unknown
from ..graph import Graph, Op
from ..graph.paths import is_inside
from ..state import BlockWidths, WidthRule, WidthRules
from .feature_counts import set_feature_counts
from .modules import set_parameter

__all__ = ["code_widths", "operators_inside", "set_code_widths"]


def set_code_widths(model: nn.Module, before: Graph, after: Graph, rules: WidthRules) -> None:
    """Bring the widths that modules' code holds in line with the graph after an edit.

    rules: of classes that are not timm's, or that come before its rule. Raises SurgeryError where a rule fails.
    """
    for path, module in model.named_modules():
        for name, value in code_widths(module, path, after, rules).items():
            if not hasattr(module, name):
                own = [key for key in (*vars(module), *module._buffers, *module._parameters) if key[0] != "_"]
                error = unknown("attribute", name, own)
                raise SurgeryError(f"the width rule of {_named(path, module)} sets an {error}")
            if isinstance(value, Tensor) and (name in module._buffers or name in module._parameters):
                set_parameter(model, f"{path}.{name}".lstrip("."), value)
            else:
                setattr(module, name, value)
    set_feature_counts(model, before, after)


def code_widths(module: nn.Module, path: str, after: Graph, rules: WidthRules) -> Mapping[str, Any]:
    """What the rule of the module's class, or of the nearest it is derived from, gives; nothing where there is none."""
    rule = _rule(module, rules)
    ops = operators_inside(path, after) if rule is not None else ()
    if rule is None or not ops:
        return {}
    try:
        return dict(rule(BlockWidths(module, path, ops, after)))
    except WorkbenchError:
        raise
    except Exception as error:  # the rule is its author's code: anything may come
        raise SurgeryError(
            f"the width rule of {_named(path, module)} fails: {type(error).__name__}: {first_line(error)}"
        ) from error


def _rule(module: nn.Module, rules: WidthRules) -> WidthRule | None:
    """A user's class that only has the name of one of timm's has code of its own."""
    for cls in type(module).__mro__:
        if cls in rules:
            return rules[cls]
        if cls.__module__.startswith("timm.") and cls.__name__ in _RULES:
            return _RULES[cls.__name__]
    return None


def operators_inside(path: str, graph: Graph) -> tuple[Op, ...]:
    """Those of a module and of the modules inside it, in execution order; of the whole network where the path is ""."""
    return tuple(op for op in graph.ops if op.kind != "input" and (not path or is_inside(op.module, path)))


def _named(path: str, module: nn.Module) -> str:
    return f"{path} ({type(module).__name__})".lstrip()


def _ghost(block: BlockWidths) -> dict[str, Any]:
    """GhostModule: forward ends with out[:, :out_chs]."""
    joins = [op for op in block.ops if op.module == block.path and op.kind in ("concat", "slice")]
    return {"out_chs": joins[-1].shape[1]}


def _ghost_v3(block: BlockWidths) -> dict[str, Any]:
    """GhostModuleV3: as GhostModule, and its branches are merged by the width of the first half."""
    width = block.module.cheap_rpr_skip.num_features
    return {**_ghost(block), "in_channels": width, "groups": width}


def _blur(block: BlockWidths) -> dict[str, Any]:
    """BlurPool2d: one filter, a constant, for each of its channels."""
    if block.module.channels is None:
        return {}
    channels = len(block.module.filt)
    return {"channels": channels, "filt": block.module.filt[:1].repeat(channels, 1, 1, 1)}


def _partial_residual(block: BlockWidths) -> dict[str, Any]:
    """LinearBottleneck of rexnet: the input is added into the first `in_channels` of `out_channels`."""
    return {"in_channels": block.reads, "out_channels": block.makes}


def _mixed(block: BlockWidths) -> dict[str, Any]:
    """MixedConv2d: splits its input by `splits`."""
    return {"splits": [_read_by(op) for op in block.ops if op.kind == "conv2d"]}


def _selective(block: BlockWidths) -> dict[str, Any]:
    """SelectiveKernel: splits its input into equal parts of in_channels // num_paths, or hands all of it to each."""
    width = _read_by(_convolutions(block)[0])
    return {"in_channels": width * block.module.num_paths if block.module.split_input else width}


def _equal_splits(block: BlockWidths) -> dict[str, Any]:
    """Res2Net's blocks: split what conv1 makes into parts of `width`."""
    return {"width": block.parts[0]} if block.parts else {}


def _halves(block: BlockWidths) -> dict[str, Any]:
    """Stages of CspNet: split into halves of expand_chs // 2."""
    return {"expand_chs": 2 * block.parts[0]} if block.parts else {}


def _dual_path(block: BlockWidths) -> dict[str, Any]:
    """DualPathBlock: the first num_1x1_c channels are the residual path."""
    return {"num_1x1_c": next(op for op in block.ops if op.kind == "add" and op.module == block.path).shape[1]}


def _partial_conv(block: BlockWidths) -> dict[str, Any]:
    """Partial_conv3 of FasterNet: convolves the first dim_conv3 channels, leaves dim_untouched."""
    width = _convolutions(block)[0].weight_shape[1]
    return {"dim_conv3": width, "dim_untouched": block.reads - width}


def _inception(block: BlockWidths) -> dict[str, Any]:
    """InceptionDWConv2d: what passes and what each of its depthwise convolutions reads."""
    widths = [op.shape[1] for op in _convolutions(block)]
    return {"split_indexes": (block.reads - sum(widths), *widths)}


def _gated(block: BlockWidths) -> dict[str, Any]:
    """GatedConvBlock of MambaOut: gate, what passes, and what is convolved."""
    return {"split_indices": list(block.parts)}


def _focal(block: BlockWidths) -> dict[str, Any]:
    """FocalModulation: query, context and one gate a level."""
    return {"input_split": list(block.parts[:3])}


def _state_space(block: BlockWidths) -> dict[str, Any]:
    """HSMSSD of EfficientViM: three parts of `state_dim`, then two of `d_inner`."""
    return {"state_dim": block.parts[0], "d_inner": block.parts[-1]}


def _single_head(block: BlockWidths) -> dict[str, Any]:
    """SHSA of SHViT: attention on the first `pdim` of `dim` channels; queries and keys of `qk_dim`."""
    _, _, queries, _, values = block.parts
    return {"dim": block.reads, "qk_dim": queries, "pdim": values}


def _cascaded(block: BlockWidths) -> dict[str, Any]:
    """CascadedGroupAttention of EfficientViT: queries and keys of `key_dim`, values of `val_dim` in every head."""
    slices = (op for op in block.ops if op.kind == "slice" and op.module == block.path)
    cut = [op for op in slices if block.graph.by_name[op.inputs[0]].module.startswith(f"{block.path}.qkvs.")]
    return {"key_dim": cut[0].shape[1], "val_dim": cut[2].shape[1]}


def _separable_attention(block: BlockWidths) -> dict[str, Any]:
    """LinearSelfAttention of MobileViTv2: one channel of queries, then keys and values of `embed_dim` each."""
    return {"embed_dim": block.parts[-1]}


def _head(block: BlockWidths) -> dict[str, Any]:
    """Classifier heads: reset() builds the new classifier from these."""
    widths = {"in_features": block.reads} if hasattr(block.module, "in_features") else {}
    last = next((op for op in reversed(block.ops) if op.kind == "linear"), None)
    if last is not None and hasattr(block.module, "num_features"):
        widths["num_features"] = last.weight_shape[1]
        if getattr(block.module, "hidden_size", None):
            widths["hidden_size"] = last.weight_shape[1]
    return widths


def _scale(block: BlockWidths) -> dict[str, Any]:
    """Scale of MetaFormer: views its parameter in a shape it keeps."""
    return {"shape": (len(block.module.scale), *block.module.shape[1:])}


def _convolutions(block: BlockWidths) -> list[Op]:
    return [op for op in block.ops if op.kind == "conv2d"]


def _read_by(convolution: Op) -> int:
    """Channels a convolution reads."""
    width: int = convolution.weight_shape[1] * convolution["groups"]
    return width


_RULES: Mapping[str, WidthRule] = {
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
