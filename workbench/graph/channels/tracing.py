"""The pass over the channels: graph -> `Channels`."""

from dataclasses import replace
from math import lcm
from types import MappingProxyType

from ..structure import Structure
from .flow import ChannelFlow
from .parts import follow_parts
from .rules import apply_rule
from .segments import ChannelLayout, Channels, Segment
from .spans import Span

__all__ = ["trace_channels"]


def trace_channels(graph: Structure) -> Channels:
    """Follow every channel dimension through the graph (one pass; a few milliseconds for 300 operators)."""
    flow = ChannelFlow(graph)
    for op in graph.ops:
        if not follow_parts(flow, op):
            apply_rule(flow, op)
    for name in graph.outputs:
        flow.freeze(name, "it is the network's output")
    flow.freeze_equal_parts()
    return _channels(flow)


def _channels(flow: ChannelFlow) -> Channels:
    """The spans as segments, each named after the layer in whose output it stands first."""
    segments: dict[str, Segment] = {}
    names: dict[Span, str] = {}
    counts: dict[str, int] = {}  # of segments by layer
    layouts: dict[str, ChannelLayout] = {}
    for op in flow.graph.ops:
        layout = flow.layouts.get(op.name)
        if layout is None:
            continue
        leaves = layout.leaves()
        owner = op.module or op.name
        for leaf in leaves:
            if leaf not in names:
                n = counts.get(owner, 0)
                counts[owner] = n + 1
                name = names[leaf] = f"{owner}:{n}" if n else owner
                segments[name] = Segment(name, leaf.width, leaf.multiple, leaf.multiple, leaf.frozen, leaf.no_pad)
        if layout.inner is None:
            layouts[op.name] = ChannelLayout(layout.axis, tuple(names[leaf] for leaf in leaves), layout.repeat)
    equal = [tuple(dict.fromkeys(names[span] for span in spans)) for spans in flow.equal_spans()]
    for parts in equal:  # what binds one of equal parts binds all
        multiple = lcm(*(segments[name].multiple for name in parts))
        no_pad = next((segments[name].no_pad for name in parts if segments[name].no_pad), "")
        segments |= {name: replace(segments[name], multiple=multiple, no_pad=no_pad) for name in parts}
    return Channels(MappingProxyType(segments), MappingProxyType(layouts), tuple(e for e in equal if len(e) > 1))
