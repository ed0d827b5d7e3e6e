"""An edited network beside the network before the edits: each of its tensors, and what that was.

    y     [N, C, H, W]   a tensor of the network before the edits
    z     [N, c, h, w]   its counterpart in the edited network, which ideally is B y
    B     [c, C]         the basis: which channels stayed, or the directions that narrowed widths were given

A tensor keeps its name where its layer stays. What a replaced block makes takes over the name of what the old one made;
of a fused block the dense convolution is the counterpart of the depthwise one.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from ..graph import Edit, Graph, Plan, ReplaceBlock, Resize
from .carry_out import carry_out
from .conformance import require_planned
from .reconstruction import reconstruct
from .resize import Sources, channel_sources

__all__ = ["Counterpart", "Edited", "carry_out_reconstructing"]


@dataclass(frozen=True, eq=False)
class Counterpart:
    """tensor: its name in the network before the edits. basis: B, float32 [c, C]; None where all channels stayed."""

    tensor: str
    basis: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Edited:
    """module and graph behind the edits. counterparts: of its tensors, by name, where they have one."""

    module: nn.Module
    graph: Graph
    counterparts: Mapping[str, Counterpart]


def carry_out_reconstructing(
    model: nn.Module, graph: Graph, plans: Sequence[Plan], images: Tensor, inputs: Sequence[Any] | None = None
) -> Edited:
    """Carry the plans out on a copy of `model`: replaced layers fitted, narrowed widths reconstructed on the images.

    graph: of `model`. images: [N, C, H, W]. Widths that plans narrow one after the other are narrowed at once. Of
    edits that leave the choice of channels to the magnitude of weights, what the layers behind need decides
    (`reconstruction.py`). inputs: as for `build`; the result is traced and compared with the plan as there.
    """
    edited = copy.deepcopy(model)
    like = next(edited.parameters(), None)
    images = images.to(like) if like is not None else images
    counterparts = {op.name: Counterpart(op.name) for op in graph.ops}
    for edits in _runs(plans):
        if isinstance(edits[0], Resize):
            widths = _joined([edit for edit in edits if isinstance(edit, Resize)], graph)
            fitted = reconstruct(edited, graph, widths, images)
            sources = channel_sources(edited, graph, fitted.edits, images)
            counterparts = _narrowed(counterparts, graph, sources, fitted.bases)
            edits = fitted.edits
        else:
            counterparts |= dict(_fused(counterparts, edits, graph))
        graph = carry_out(edited, graph, [Plan(tuple(edits))], images)
        counterparts = {name: counterparts[name] for name in graph.by_name if name in counterparts}
    require_planned(edited, graph, inputs)
    return Edited(edited, graph, counterparts)


def _runs(plans: Sequence[Plan]) -> Iterator[tuple[Edit, ...]]:
    """The edits of all plans, in their order: neighbours that resize together, the others together."""
    for _, group in groupby((edit for plan in plans for edit in plan.edits), lambda edit: isinstance(edit, Resize)):
        yield tuple(group)


def _joined(edits: Sequence[Resize], graph: Graph) -> tuple[Resize, ...]:
    """One edit a segment, with its last width."""
    segments = graph.channels.segments
    last = {edit.segment: edit for edit in edits}
    return tuple(edit for edit in last.values() if edit.width != segments[edit.segment].width)


def _narrowed(
    counterparts: Mapping[str, Counterpart], graph: Graph, sources: Sources, bases: Mapping[str, Tensor]
) -> dict[str, Counterpart]:
    """The counterparts after widths changed, and segments got other bases; tensors with new channels have none."""
    layouts = graph.channels.layout
    steps: dict[tuple[str, ...], Tensor] = {}
    after: dict[str, Counterpart] = {}
    for name, old in counterparts.items():
        layout = layouts.get(name)
        if layout is None or not any(segment in sources for segment in layout.segments):
            after[name] = old
        elif layout.repeat == 1 and not any(None in sources.get(segment, ()) for segment in layout.segments):
            if layout.segments not in steps:
                parts = [_step(graph, segment, sources, bases) for segment in layout.segments]
                steps[layout.segments] = torch.block_diag(*parts)
            step = steps[layout.segments]
            after[name] = replace(old, basis=step if old.basis is None else step @ old.basis)
    return after


def _step(graph: Graph, segment: str, sources: Sources, bases: Mapping[str, Tensor]) -> Tensor:
    """[new width, width] of one segment."""
    width = graph.channels.segments[segment].width
    basis = bases.get(segment, torch.eye(width)).float()
    if segment not in sources:
        return basis
    return basis[[i for i in sources[segment] if i is not None]]


def _fused(
    counterparts: Mapping[str, Counterpart], edits: Sequence[Edit], graph: Graph
) -> Iterator[tuple[str, Counterpart]]:
    """Norms behind the dense convolutions of replaced blocks, as counterparts of those behind the depthwise ones."""
    for edit in edits:
        if isinstance(edit, ReplaceBlock):
            depthwise = [name for name in edit.ops if graph.by_name[name].is_depthwise]
            dense = [op for op in edit.new_ops if op.kind == "conv2d"]
            if len(depthwise) == 1 and dense:
                old = [user for user in graph.consumers[depthwise[0]] if user.kind == "batch_norm"]
                new = [op for op in edit.new_ops if op.kind == "batch_norm" and op.inputs[0] == dense[0].name]
                if old and new and old[0].name in counterparts:
                    yield new[0].name, counterparts[old[0].name]
