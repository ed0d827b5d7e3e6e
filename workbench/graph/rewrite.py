"""(Graph, Plan) -> Graph: carries the primitive edits out on the graph, sharing what did not change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..errors import NotApplicable, WorkbenchError
from .compress_edits import compress
from .graph import Graph
from .layer_padding import is_padding_of
from .op import Op
from .plan import (
    Compress,
    Edit,
    ExchangeLayer,
    FuseLayers,
    Plan,
    RemoveModule,
    ReplaceBlock,
    Resize,
    SetInput,
    SetSpatial,
)
from .propagate import propagate
from .replace_edits import SAME_CLASSES, operator, replace_operators
from .resize_edits import resize

__all__ = ["rewrite"]


def rewrite(graph: Graph, plan: Plan) -> Graph:
    """The graph after the plan's edits, in their order; raises before anything is made where one does not fit.

    Neighbouring Resize edits are carried out together, so two segments a constraint binds may change at once; so are
    SetSpatial edits: branches that meet change their maps at once. Edits that replace or remove operators are, too.
    """
    for rule, edits in groupby(plan.edits, lambda edit: _RULES[type(edit)]):
        neighbours = tuple(edits)
        edited = rule(graph, neighbours)
        if edited is not graph and graph.unread:
            edited = replace(edited, unread=_still_unread(graph, edited))
        if edited is not graph and graph.origin is not None:
            edited = replace(edited, origin=graph.origin.after(neighbours))
        graph = edited
    return graph


def _still_unread(graph: Graph, edited: Graph) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Without the parameters of modules that are no longer there."""
    removed = graph.classes.keys() - edited.classes.keys()
    return tuple((name, shape) for name, shape in graph.unread if name.rpartition(".")[0] not in removed)


# ---- SetInput and SetSpatial ------------------------------------------------------------------------------------

# Modules whose code refuses other image sizes or brings them to its own, which a graph does not show.
_FIXED = frozenset(
    (
        "timm.layers.patch_embed.PatchEmbed",
        "timm.layers.hybrid_embed.HybridEmbed",
        "timm.models.crossvit.PatchEmbed",
    )
)

# Modules whose code the rules for shapes follow; any other may pad, crop or resize to sizes that the trace recorded.
_FOLLOWED = ("timm.", "torch.nn.modules.")


def _set_input(graph: Graph, edits: Sequence[SetInput]) -> Graph:
    """By the rules for shapes; where they do not tell what another size does, by the network itself.

    Of several edits the last one counts.
    """
    edit, (only,) = edits[-1], graph.inputs
    try:
        fixed = next((path for path, cls in graph.modules if cls in _FIXED), None)
        if fixed is not None:
            raise NotApplicable(f"{fixed} ({graph.classes[fixed].rpartition('.')[2]}) is made for one image size")
        own = next(((path, cls) for path, cls in graph.modules if not cls.startswith(_FOLLOWED)), None)
        if own is not None and graph.origin is not None:
            name = own[1].rpartition(".")[2]
            raise NotApplicable(f"the code of {own[0] or 'the network'} ({name}) may set sizes itself")
        return propagate(graph, {only.name: replace(only, shape=(only.shape[0], *edit.shape))})
    except NotApplicable as error:
        if graph.origin is None:
            raise
        last = edit.shape[0] != only.shape[1]  # the channels stand last
        size = " x ".join(map(str, edit.shape[:2] if last else edit.shape[1:]))
        try:
            traced = graph.origin.trace_at(edit.shape)
        except WorkbenchError as refused:
            raise NotApplicable(f"{error}, and the network does not run on images of {size}") from refused
        try:
            return rewrite(traced, graph.origin.plan)
        except WorkbenchError as unfit:
            raise NotApplicable(f"{error}, and the edits before do not fit the network at {size}: {unfit}") from unfit


def _set_spatial(graph: Graph, edits: Sequence[SetSpatial]) -> Graph:
    changed: dict[str, Op] = {}
    same: dict[str, str] = {}  # module -> its class now
    for edit in edits:
        op = changed.get(edit.op) or operator(graph, edit.op)
        padding, before = edit.padding, graph.by_name[op.inputs[0]]
        if edit.same:
            padding = (0, 0)
        elif padding is not None and is_padding_of(before, op):
            changed[before.name] = before.with_attrs(pads=((0, 0), (0, 0), *((p, p) for p in padding)))
            padding = None
        fields = {"stride": edit.stride, "dilation": edit.dilation, "padding": padding}
        op = changed[edit.op] = op.with_attrs(**{k: v for k, v in fields.items() if v is not None})
        if edit.same:
            if op.kind != "conv2d":  # nothing is left for a last, partial window
                changed[edit.op] = op.with_attrs(ceil=False)
            same[op.module] = SAME_CLASSES[op.kind]
    modules = tuple((path, same.get(path, cls)) for path, cls in graph.modules) if same else graph.modules
    return propagate(Graph(graph.ops, graph.outputs, modules), changed)


# ---- which edits are carried out by which rule; neighbours of one rule at once -------------------------------------

_RULES: Mapping[type[Edit], Callable[[Graph, Sequence[Any]], Graph]] = {
    Resize: resize,
    ReplaceBlock: replace_operators,
    FuseLayers: replace_operators,
    ExchangeLayer: replace_operators,
    RemoveModule: replace_operators,
    SetSpatial: _set_spatial,
    SetInput: _set_input,
    Compress: compress,
}
