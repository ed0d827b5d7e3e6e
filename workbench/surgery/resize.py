"""Resize: slice and widen every parameter along the channels that changed.

    sources   for each channel of the resized segment the old index it comes from, None where it is new

New channels get random weights in the layers that make them and zero weights in the layers that read them: the function
stays exactly the same, and training can use them. Narrowing keeps the most important channels of a segment
(`importance.py`).
"""

from collections.abc import Mapping, Sequence
from zlib import crc32

import torch
from torch import Tensor, nn

from ..graph import Graph, Op, ParamAxis, Resize, param_axes, source_channels
from .importance import importance
from .modules import get_parameter, set_parameter, set_widths

__all__ = ["Sources", "channel_sources", "kept_channels", "resize"]

Sources = Mapping[str, tuple[int | None, ...]]
_FILL = {"weight": 1.0, "running_var": 1.0, "value": 1.0}  # of norms and scales; all else 0


def resize(
    model: nn.Module, graph: Graph, edits: Sequence[Resize], after: Graph, images: Tensor | None = None
) -> Sources:
    """Carry the edits out on `model`, in place; `graph` is before them, `after` behind them.

    images: [N, C, H, W], for edits that rank channels on images; without them the weights decide. Returns, for each
    resized segment, where each of its channels comes from.
    """
    sources = channel_sources(model, graph, edits, images)
    done: set[str] = set()
    for op in graph.ops:
        axes = [axis for axis in param_axes(graph, op) if any(name in sources for name in axis.segments)]
        for name in dict.fromkeys(axis.param.name for axis in axes):
            if name in done:
                continue
            done.add(name)
            old = get_parameter(model, name)
            if old is None:
                continue  # a computed value: the module has no parameter of that name
            resized = sorted((a for a in axes if a.param.name == name), key=lambda a: a.side == "in")
            new = old.reshape(resized[0].param.shape)  # the operator may read it in another shape: [C] as [1, C, 1, 1]
            # rows first: a new row reads old columns at random and new ones not at all
            for axis in resized:
                new = _gathered(new, axis, sources, graph, op)
            set_parameter(model, name, new if old.shape == resized[0].param.shape else _as_stored(new, old))
            _resize_gain(model, name, resized[0], sources, graph)
        if axes:
            set_widths(model, op.module, after.by_name[op.name])
    return sources


def _as_stored(new: Tensor, old: Tensor) -> Tensor:
    """`new` with its dimensions of size one where `old` has them."""
    sizes = iter(d for d in new.shape if d != 1)
    return new.reshape([d if d == 1 else next(sizes) for d in old.shape])


def _resize_gain(model: nn.Module, name: str, axis: ParamAxis, sources: Sources, graph: Graph) -> None:
    """Weight-standardised convolutions keep one gain a row beside the weight; the operator does not show it."""
    path, _, role = name.rpartition(".")
    gain = get_parameter(model, f"{path}.gain")
    if role == "weight" and axis.side == "out" and gain is not None and len(gain) == axis.param.shape[0]:
        rows = _index(axis, sources, graph)
        set_parameter(model, f"{path}.gain", _take(gain, 0, rows, gain.detach().mean()))


def kept_channels(graph: Graph, sources: Sources) -> Mapping[str, Sequence[int | None]]:
    """Path of every batch norm that runs once -> for each of its channels the channel it was, None for a new one."""
    channels: dict[str, list[int | None]] = {}
    twice: set[str] = set()
    for op in graph.ops:
        mean = op.param("running_mean")
        axis = next((axis for axis in param_axes(graph, op) if axis.param is mean), None)
        if op.kind == "batch_norm" and mean is not None and axis is not None:
            twice |= {op.module} & channels.keys()
            channels[op.module] = _index(axis, sources, graph)
    return {path: index for path, index in channels.items() if path not in twice}


def channel_sources(model: nn.Module, graph: Graph, edits: Sequence[Resize], images: Tensor | None = None) -> Sources:
    """Segment -> where each of its channels comes from, for those whose width changes; arguments as for `resize`."""
    sources: dict[str, tuple[int | None, ...]] = {}
    scores: dict[str, Tensor] = {}
    for measure in dict.fromkeys(edit.keep for edit in edits if isinstance(edit.keep, str)):
        narrowed = [
            e.segment for e in edits if e.keep == measure and e.width < graph.channels.segments[e.segment].width
        ]
        scores |= importance(model, graph, narrowed, measure, images)
    for edit in edits:
        segment = graph.channels.segments[edit.segment]
        if edit.width == segment.width:
            continue
        if edit.width > segment.width:
            sources[edit.segment] = source_channels(segment, edit.width)
            continue
        if isinstance(edit.keep, str):
            ranked = scores[edit.segment].argsort(descending=True, stable=True).tolist()
            keep: list[int] = []
            old, new = segment.width // segment.chunks, edit.width // segment.chunks
            for chunk in range(segment.chunks):
                keep += [i for i in ranked if i // old == chunk][:new]
        else:
            keep = list(edit.keep)
        sources[edit.segment] = source_channels(segment, edit.width, keep)
    return sources


def _gathered(old: Tensor, axis: ParamAxis, sources: Sources, graph: Graph, op: Op) -> Tensor:
    """The parameter with one axis resized; new entries are filled by the rule for their role."""
    index = _index(axis, sources, graph)
    if axis.groups > 1:
        return _gathered_groups(old, axis, index)
    return _take(old, axis.axis, index, _fill(old, axis, op))


def _index(axis: ParamAxis, sources: Sources, graph: Graph) -> list[int | None]:
    """For each element along the resized axis the element it was, None for a new one."""
    index: list[int | None] = []
    at = 0
    for name in axis.segments:
        width = graph.channels.segments[name].width
        for source in sources.get(name, tuple(range(width))):
            index += [None if source is None else (at + source) * axis.repeat + r for r in range(axis.repeat)]
        at += width
    return index


def _gathered_groups(old: Tensor, axis: ParamAxis, index: Sequence[int | None]) -> Tensor:
    """A grouped convolution's input axis: every group gathers from its own share of the channels."""
    share, per_group = len(index) // axis.groups, old.shape[axis.axis]
    parts = []
    for g, rows in enumerate(old.chunk(axis.groups, 0)):
        local = [None if i is None else i - g * per_group for i in index[g * share : (g + 1) * share]]
        parts.append(_take(rows, axis.axis, local, torch.zeros(())))
    return torch.cat(parts)


def _take(old: Tensor, dim: int, index: Sequence[int | None], fill: Tensor) -> Tensor:
    places = torch.tensor([i if i is not None else 0 for i in index], device=old.device)
    new = old.index_select(dim, places)
    fresh = torch.tensor([i is None for i in index], device=old.device)
    if bool(fresh.any()):
        shape = [-1 if d == dim else 1 for d in range(old.dim())]
        if fill.dim():
            generator = torch.Generator().manual_seed(int(fill[1]))
            noise = torch.randn(new.shape, generator=generator) * fill[0]
            new = torch.where(fresh.reshape(shape), noise.to(new), new)
        else:
            new = torch.where(fresh.reshape(shape), fill.to(new), new)
    return new


def _fill(old: Tensor, axis: ParamAxis, op: Op) -> Tensor:
    """What new entries hold: a 0-d constant, or [std, seed] for fresh random rows."""
    if axis.side == "in":
        return torch.zeros(())
    if axis.param.role == "weight" and old.dim() > 1:
        std = float(old.detach().std(correction=0)) or (2 / max(1, old[0].numel())) ** 0.5
        return torch.tensor([std, float(crc32(axis.param.name.encode()) & 0xFFFFFF)])
    if axis.param.role == "weight" and op.kind == "prelu":
        return torch.tensor(0.25)
    return torch.tensor(_FILL.get(axis.param.role, 0.0))
