"""The frozen graph, its blocks, its channel segments, and plans that edit it."""

from .blocks import Block
from .channels import Channels, Layout, ParamAxis, Segment, param_axes, source_channels
from .compress import Scheme, as_built, check_scheme, cluster, compressed, prune
from .ir import Graph, Op, Param, is_computed
from .liveness import live_ranges
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
from .rewrite import rewrite

__all__ = [
    "Block",
    "Channels",
    "Compress",
    "Edit",
    "ExchangeLayer",
    "FuseLayers",
    "Graph",
    "Layout",
    "Op",
    "Param",
    "ParamAxis",
    "Plan",
    "RemoveModule",
    "ReplaceBlock",
    "Resize",
    "Scheme",
    "Segment",
    "SetInput",
    "SetSpatial",
    "as_built",
    "check_scheme",
    "cluster",
    "compressed",
    "is_computed",
    "live_ranges",
    "param_axes",
    "prune",
    "rewrite",
    "source_channels",
]
