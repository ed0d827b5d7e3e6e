"""What timm's models say of their own widths: num_features, head_hidden_size, embed_dim and feature_info."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from ..graph import Graph, Op
from ..graph.kinds import PLAIN_LAYERS
from ..graph.paths import is_inside

__all__ = ["set_feature_counts"]

# Where the names of feature_info are no modules: what stands for them.
_TAPS: Mapping[str, Callable[[str], str]] = {
    "HighResolutionNet": lambda name: f"incre_modules.{int(name[-1]) - 1}" if name.startswith("stage") else "act2",
    "EfficientViM": lambda name: f"{name}.blocks",
    "TResNet": lambda name: name or "body.conv1",
    "MultiScaleVit": lambda name: name.replace("block.", "stages."),
}


def set_feature_counts(model: nn.Module, before: Graph, after: Graph) -> None:
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
        tap = _tap(module)
        for row in _rows(module):
            path = f"{prefix}.{tap(row.get('module', ''))}".lstrip(".")
            for key, fact in (("num_chs", _width_at), ("reduction", _reduction_at)):
                old = fact(before, path)
                if old and row.get(key) == old:
                    row[key] = fact(after, path)


def _tap(module: nn.Module) -> Callable[[str], str]:
    """From a name in feature_info to the path of the module that stands for it."""
    ancestors = (cls.__name__ for cls in type(module).__mro__ if cls.__module__.startswith("timm."))
    return next((_TAPS[name] for name in ancestors if name in _TAPS), str)


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
