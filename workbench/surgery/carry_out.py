"""The edits of plans carried out on a module, in place: one function for each class of edit."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ..graph import (
    Compress,
    Edit,
    ExchangeLayer,
    FuseLayers,
    Graph,
    Plan,
    RemoveModule,
    ReplaceBlock,
    Resize,
    SetInput,
    SetSpatial,
    rewrite,
)
from ..graph.plan import Replacement
from ..progress import Progress
from ..state import WidthRules
from .code_widths import set_code_widths
from .compress import compress, compress_again
from .distil import distil
from .exchange_layer import exchange_layer
from .fuse_layers import fuse_layers
from .modules import takes_one_argument
from .norm_statistics import correct_statistics
from .remove_module import remove_module
from .replace_block import replace_block
from .resize import kept_channels, resize
from .site import Site
from .spatial import set_spatial

__all__ = ["NO_RULES", "carry_out"]

NO_RULES: WidthRules = MappingProxyType({})


def carry_out(
    edited: nn.Module,
    graph: Graph,
    plans: Sequence[Plan],
    calibration: torch.Tensor | None,
    distil_steps: int = 0,
    progress: Progress | None = None,
    width_rules: WidthRules = NO_RULES,
) -> Graph:
    """Carry the plans out on the module itself, in place, and return the planned graph; the two are not compared.

    calibration: as in `build`, but `mirrored` already, or what a module inside the network reads of such images. For
    many candidates; the one that is kept is built by `build`, which compares. width_rules: as in `build`.
    """
    if calibration is not None:
        like = next(edited.parameters(), None)
        calibration = calibration.to(like) if like is not None else calibration
    # What replaced blocks are fitted to: the model at its present widths before any block of it was replaced, so
    # that one step of many blocks and many steps of one block give the same weights.
    reference: nn.Module | None = None
    for edits in (edits for plan in plans for edits in _in_turn(plan)):
        after = rewrite(graph, Plan(edits))
        edit = edits[0]
        if isinstance(edit, Replacement):
            if reference is None:
                reference = copy.deepcopy(edited) if calibration is not None else edited
            site = Site(edited, graph, after, calibration, reference, width_rules)
            _replace(site, edit, distil_steps, progress)
        elif not isinstance(edit, SetInput):  # another input size changes no weight
            _CHANGES[type(edit)](Site(edited, graph, after, calibration, edited, width_rules), edits)
            reference = None
        graph = after
    return graph


def _in_turn(plan: Plan) -> Iterator[tuple[Edit, ...]]:
    """The plan's edits in their order: replacements one by one, neighbours of each other class at once."""
    for kind, group in groupby(plan.edits, type):
        if kind in _REPLACEMENTS:
            yield from ((edit,) for edit in group)
        else:
            yield tuple(group)


def _replace(site: Site, edit: Replacement, distil_steps: int, progress: Progress | None) -> None:
    """Carry one replacement out, and distil the weights that it fitted."""
    _REPLACEMENTS[type(edit)](site, edit)
    fitted = not isinstance(edit, RemoveModule) and edit.init == "least-squares"
    if fitted and distil_steps and site.images is not None:
        distil(site.model, site.reference, _distilled(site, edit), site.images, distil_steps, progress)
    compress_again(site.model, site.graph, site.after)


def _distilled(site: Site, edit: Replacement) -> str:
    """The module whose output tells what the replaced operators were for: their block, or the layer itself."""
    last, graph = edit.ops[-1], site.graph
    around = (block.name for block in graph.blocks if last in block.ops)
    whole = (path for path in around if path in graph.classes and takes_one_argument(site.model.get_submodule(path)))
    layer = edit.module if isinstance(edit, ReplaceBlock) else graph.by_name[last].module
    return next(whole, layer)


def _resize(site: Site, edits: Sequence[Resize]) -> None:
    segments = site.graph.channels.segments
    narrows = any(edit.width < segments[edit.segment].width for edit in edits)
    before = copy.deepcopy(site.model) if narrows and site.images is not None else None
    sources = resize(site.model, site.graph, edits, site.after, site.images)
    set_code_widths(site.model, site.graph, site.after, site.width_rules)
    compress_again(site.model, site.graph, site.after)
    if before is not None and site.images is not None:
        correct_statistics(before, site.model, kept_channels(site.graph, sources), site.images)


def _set_spatial(site: Site, edits: Sequence[SetSpatial]) -> None:
    for edit in edits:
        set_spatial(site.model, site.graph.by_name[edit.op], edit)
    set_code_widths(site.model, site.graph, site.after, site.width_rules)


# How the edits of each class are carried out; SetInput leaves the module as it is.
_CHANGES: Mapping[type[Edit], Callable[[Site, Sequence[Any]], None]] = {
    Resize: _resize,
    SetSpatial: _set_spatial,
    Compress: compress,
}
_REPLACEMENTS: Mapping[type[Edit], Callable[[Site, Any], None]] = {
    ReplaceBlock: replace_block,
    FuseLayers: fuse_layers,
    ExchangeLayer: exchange_layer,
    RemoveModule: remove_module,
}
