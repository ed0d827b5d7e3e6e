"""FuseLayers: a dense convolution for an expansion and its depthwise convolution, each layer in its own place."""

from typing import Any

from torch import Tensor, nn

from ..errors import SurgeryError
from ..graph import FuseLayers, Graph, Op
from ..graph.paths import is_inside
from .initialise import composed, fill, regress
from .layers import replace_module, set_parameter, set_widths
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
    gone = [graph.by_name[name] for name in edit.ops]
    stay = {new.module for new in edit.new_ops}
    paths = outermost(o.module for o in gone if o.module not in stay and not is_inside(o.module, op.module))
    check_emptied(graph, set(edit.ops), [*paths, op.module])
    convs = [o for o in gone if o.kind == "conv2d"]
    dw = [o for o in convs if is_inside(o.module, op.module)]
    points = [o for o in convs if o not in dw]
    norm = _norm_behind(model, graph, op)
    known = points and dw and all(o.is_depthwise for o in dw) and all(o["kernel"] == (1, 1) for o in points)
    layers = all(isinstance(model.get_submodule(o.module), nn.Conv2d) for o in convs)
    if not known or not layers or (norm is None and not op.param("bias")):
        raise SurgeryError(f"{op.module}: one convolution can stand for an expansion and a depthwise one, nothing else")

    reads = next(path for path in paths if is_inside(points[0].module, path))
    layer: Any = model.get_submodule(max(dw, key=lambda o: o["kernel"]).module)
    weight, shift = composed(
        [model.get_submodule(o.module) for o in points],
        [module for path in paths if path != reads and _scales(module := model.get_submodule(path))],
        [model.get_submodule(o.module) for o in dw],
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


def _norm_behind(model: nn.Module, graph: Graph, op: Op) -> Any:
    """The batch norm that alone reads the layer, None where there is none."""
    users = graph.consumers[op.name]
    if len(users) == 1 and users[0].param("running_mean") and users[0].param("weight"):
        return model.get_submodule(users[0].module)
    return None


def _scales(module: nn.Module) -> bool:
    """Is it a norm with weights or statistics of its own?"""
    found = any(isinstance(getattr(module, name, None), Tensor) for name in ("weight", "running_var"))
    return found and not isinstance(module, nn.PReLU)


def _pads(edit: FuseLayers) -> list[int]:
    """What the padding that stays adds, as torch's pad wants it."""
    return [n for op in edit.new_ops if op.kind == "pad" for pair in reversed(op["pads"]) for n in pair]
