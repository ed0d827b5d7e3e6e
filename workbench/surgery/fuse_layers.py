"""FuseLayers: a dense convolution for an expansion and its depthwise convolution, each layer in its own place."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..errors import SurgeryError
from ..graph import FuseLayers, Graph, Op
from ..graph.paths import is_inside
from .dense_weights import composed, fill, regress
from .modules import replace_module, set_parameter, set_widths
from .remove_module import check_emptied, empty, outermost
from .site import Site

__all__ = ["fuse_layers"]


def fuse_layers(site: Site, edit: FuseLayers) -> None:
    """Carry the edit out: the depthwise convolution becomes dense and reads what the expansion read.

    All modules before it become identities, but for a padding that stays. Where the depthwise convolution was several
    on slices, the largest of them, made dense, takes the place of the module around them. Without calibration images
    the weights are composed.
    """
    model, graph, images = site.model, site.graph, site.images
    op = site.after.by_name[edit.ops[-1]]
    old = [graph.by_name[name] for name in edit.ops]
    paths = _emptied(graph, edit, old, op.module)
    convs = [o for o in old if o.kind == "conv2d"]
    depthwise = [o for o in convs if is_inside(o.module, op.module)]
    points = [o for o in convs if o not in depthwise]
    norm = _norm_behind(model, graph, op)
    _check_layers(model, op, points, depthwise, norm)

    reads = next(path for path in paths if is_inside(points[0].module, path))
    layer: Any = model.get_submodule(max(depthwise, key=lambda o: o["kernel"]).module)
    weight, shift = composed(
        [model.get_submodule(o.module) for o in points],
        [module for path in paths if path != reads and _scales(module := model.get_submodule(path))],
        [model.get_submodule(o.module) for o in depthwise],
    )
    fitted = None
    if edit.init == "least-squares" and images is not None:
        fitted = regress(model, reads, op.module, _pads(edit), layer, norm, weight, images)
    empty(model, paths)
    replace_module(model, op.module, layer)
    set_widths(model, op.module, op)
    for param in op.params:
        set_parameter(model, param.name, weight if param.role == "weight" else shift)
    if fitted is not None:
        fill(layer, norm, fitted)
    elif not op.param("bias"):
        norm.running_mean.sub_(shift)


def _emptied(graph: Graph, edit: FuseLayers, old: Sequence[Op], dense: str) -> list[str]:
    """Paths of the modules that become identities; `dense` is that of the layer that stays."""
    stay = {op.module for op in edit.new_ops}
    paths = outermost(op.module for op in old if op.module not in stay and not is_inside(op.module, dense))
    check_emptied(graph, set(edit.ops), [*paths, dense])
    return paths


def _check_layers(model: nn.Module, op: Op, points: Sequence[Op], depthwise: Sequence[Op], norm: Any) -> None:
    """Refuse what is no expansion with a depthwise convolution behind it, before anything is changed."""
    two = points and depthwise and all(o.is_depthwise for o in depthwise) and all(o["kernel"] == (1, 1) for o in points)
    layers = all(isinstance(model.get_submodule(o.module), nn.Conv2d) for o in (*points, *depthwise))
    if not two or not layers or (norm is None and not op.param("bias")):
        raise SurgeryError(f"{op.module}: one convolution can stand for an expansion and a depthwise one, nothing else")


def _norm_behind(model: nn.Module, graph: Graph, op: Op) -> Any:
    """The batch norm that alone reads the layer, None where there is none."""
    users = graph.consumers[op.name]
    if len(users) == 1 and users[0].param("running_mean") and users[0].param("weight"):
        return model.get_submodule(users[0].module)
    return None


def _scales(module: nn.Module) -> bool:
    """Is it a norm with weights or statistics of its own?"""
    tensors = any(isinstance(getattr(module, name, None), Tensor) for name in ("weight", "running_var"))
    return tensors and not isinstance(module, nn.PReLU)


def _pads(edit: FuseLayers) -> list[int]:
    """What the padding that stays adds, as torch's pad takes it: last dimension first."""
    return [n for op in edit.new_ops if op.kind == "pad" for pair in reversed(op["pads"]) for n in pair]
