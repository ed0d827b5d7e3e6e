"""The frozen graph, its blocks, its channel segments, and plans that edit it."""

from .blocks import Block
from .channels import Channels, Layout, ParamAxis, Segment, param_axes, source_channels
from .ir import Graph, Op, Param, is_computed
from .liveness import live_ranges
from .plan import Compress, Edit, Plan, Replace, Resize, SetInput, SetSpatial
from .rewrite import rewrite

__all__ = [
    "Block",
    "Channels",
    "Compress",
    "Edit",
    "Graph",
    "Layout",
    "Op",
    "Param",
    "ParamAxis",
    "Plan",
    "Replace",
    "Resize",
    "Segment",
    "SetInput",
    "SetSpatial",
    "is_computed",
    "live_ranges",
    "param_axes",
    "rewrite",
    "source_channels",
]
