"""Which channels move together: ordered segments of every tensor's channel dimension.

A tensor's channels are a sequence of segments. A convolution makes a new segment; a residual add makes its two
inputs one; a concatenation lines segments up; a slice cuts one in two; a depthwise convolution, a norm, an
activation or a squeeze-excite gate hands them on; flattening repeats each channel. What takes channels apart into
equal parts that meet again, as selected kernels and shuffles do, makes the parts one segment that stands there several
times. One common width is not enough: rexnet adds into the first 27 of 38 channels.

What cannot be resized is frozen with the reason, in the words a user can act on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import Graph, Op, Param

__all__ = ["Channels", "Layout", "ParamAxis", "Segment", "param_axes", "source_channels", "trace_channels"]


@dataclass(frozen=True)
class Segment:
    """A run of channels that always has one width, wherever it appears.

    name: module path of the layer that makes it ("blocks.1.0.conv_pw"; "path:1", "path:2" where one layer's
    channels are several segments).
    multiple: its width must be a multiple of this. chunks: its channels stand in that many equal chunks (the
    groups of a grouped convolution), which grow and shrink alike.
    frozen: why it cannot be resized ("" where it can). no_pad: why widening it with zeros would change the
    function ("" where it would not).
    """

    name: str
    width: int
    multiple: int = 1
    chunks: int = 1
    frozen: str = ""
    no_pad: str = ""


@dataclass(frozen=True)
class Layout:
    """A tensor's channel axis as a sequence of segment names.

    Each channel stands for `repeat` consecutive elements: 49 behind the flattening of a 7x7 map, 2 behind a
    depthwise convolution with channel multiplier 2.
    """

    axis: int
    segments: tuple[str, ...]
    repeat: int = 1


@dataclass(frozen=True)
class Channels:
    """segments: by name. layout: tensor name -> its Layout (absent where channels cannot be followed).

    equal: sets of segments that are cut as equal parts of one tensor and must stay of one width.
    """

    segments: Mapping[str, Segment]
    layout: Mapping[str, Layout]
    equal: tuple[tuple[str, ...], ...] = ()

    def together(self, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """The names in sets that move as one: equal parts, where all of them are among the names; others alone.

        A name whose equal parts are not all there is left out.
        """
        at = {name: i for i, name in enumerate(names)}
        sets = {name: frozenset((name,)) for name in at}
        for parts in self.equal:
            joined = frozenset(parts).union(*(sets[name] for name in parts if name in sets))
            sets |= dict.fromkeys(joined, joined)
        whole = dict.fromkeys(sets[name] for name in at if sets[name] <= at.keys())
        return tuple(tuple(sorted(found, key=at.__getitem__)) for found in whole)

    def made_by(self, module: str) -> tuple[str, ...]:
        """Names of the segments the layer at this path makes."""
        return tuple(name for name in self.segments if name.partition(":")[0] == module)


@dataclass(frozen=True)
class ParamAxis:
    """One axis of one parameter and the channels along it.

    side: "out" where the axis counts channels the operator makes (or scales one by one), "in" where it sums
    over channels it reads. groups: > 1 where the axis holds the input channels of one group only.
    """

    param: "Param"
    axis: int
    side: str
    segments: tuple[str, ...]
    repeat: int = 1
    groups: int = 1


def param_axes(graph: "Graph", op: "Op") -> tuple[ParamAxis, ...]:
    """Every parameter axis of `op` that counts channels; surgery and rewriting both resize along these.

    An axis whose channels cannot be followed (behind attention, say) is left out: its segments are frozen.
    """
    layout = graph.channels.layout
    made = layout.get(op.name)
    read = layout.get(op.inputs[0]) if op.inputs else None
    axes: list[ParamAxis] = []
    for param in op.params:
        if op.kind == "param":
            if made is not None:
                axes.append(ParamAxis(param, made.axis, "out", made.segments, made.repeat))
        elif op.kind in ("conv2d", "linear", "conv_transpose2d", "conv1d"):
            if op.kind == "conv1d" and (made is None or made.axis != 1):
                continue  # runs across the channels, as ECA does: its kernel does not count them
            out_axis, in_axis = (1, 0) if op.kind == "conv_transpose2d" and param.role == "weight" else (0, 1)
            if made is not None:
                axes.append(ParamAxis(param, out_axis, "out", made.segments, made.repeat))
            if param.role == "weight" and read is not None and not op.is_depthwise:
                axes.append(ParamAxis(param, in_axis, "in", read.segments, read.repeat, op.get("groups", 1)))
        elif param.shape and param.shape[0] > 1 and made is not None:  # norms, PReLU
            axes.append(ParamAxis(param, 0, "out", made.segments, made.repeat))
    return tuple(axes)


def source_channels(segment: Segment, width: int, keep: Sequence[int] | None = None) -> tuple[int | None, ...]:
    """Where each channel of the resized segment comes from: an old index, or None for a new one.

    keep: old indices that stay when it shrinks (the first ones of every chunk where not given); they must be
    spread evenly over the segment's chunks. New channels stand at the end of their chunk.

    >>> source_channels(Segment("conv", 4, chunks=2), 6)
    (0, 1, None, 2, 3, None)
    >>> source_channels(Segment("conv", 4), 2, keep=(3, 1))
    (1, 3)
    """
    old, new = segment.width // segment.chunks, width // segment.chunks
    sources: list[int | None] = []
    for chunk in range(segment.chunks):
        inside = range(chunk * old, (chunk + 1) * old)
        stay = list(inside)[:new] if keep is None else sorted(i for i in keep if i in inside)
        if keep is not None and new <= old and len(stay) != new:
            raise ValueError(f"{segment.name}: chunk {chunk} keeps {len(stay)} channels, {new} are asked for")
        sources += stay[:new] + [None] * (new - min(len(stay), new))
    return tuple(sources)


def trace_channels(graph: "Graph") -> Channels:
    """Follow every channel dimension through the graph (one pass; a few milliseconds for 300 operators)."""
    from .segments import Tracer

    tracer = Tracer(graph)
    for op in graph.ops:
        tracer.visit(op)
    for name in graph.outputs:
        tracer.freeze(name, "it is the network's output")
    tracer.finish()

    segments: dict[str, Segment] = {}
    names: dict[int, str] = {}
    counts: dict[str, int] = {}
    layout: dict[str, Layout] = {}
    for op in graph.ops:
        found = tracer.layouts.get(op.name)
        if found is None:
            continue
        leaves = found.leaves()
        owner = op.module or op.name
        for leaf in leaves:
            if id(leaf) not in names:
                n = counts.get(owner, 0)
                counts[owner] = n + 1
                names[id(leaf)] = f"{owner}:{n}" if n else owner
                segments[names[id(leaf)]] = Segment(
                    names[id(leaf)], leaf.width, leaf.multiple, leaf.multiple, leaf.frozen, leaf.no_pad
                )
        if found.inner is None:
            layout[op.name] = Layout(found.axis, tuple(names[id(leaf)] for leaf in leaves), found.repeat)
    equal = [tuple(dict.fromkeys(names[id(run)] for run in runs)) for runs in tracer.equal()]
    for parts in equal:  # what binds one of equal parts binds all
        multiple = lcm(*(segments[name].multiple for name in parts))
        no_pad = next((segments[name].no_pad for name in parts if segments[name].no_pad), "")
        segments |= {name: replace(segments[name], multiple=multiple, no_pad=no_pad) for name in parts}
    return Channels(MappingProxyType(segments), MappingProxyType(layout), tuple(e for e in equal if len(e) > 1))
