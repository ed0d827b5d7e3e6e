"""The frozen graph, its blocks, its channel segments, and plans that edit it."""

from .blocks import BLOCK_KINDS, Block
from .channels import ChannelLayout, Channels, Segment, source_channels
from .compress import Scheme, check_scheme, cluster, compressed, prune
from .compress_edits import as_built
from .graph import Graph, Origin
from .liveness import live_ranges
from .op import Op, Param, is_computed
from .param_axes import ParamAxis, param_axes
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
    "BLOCK_KINDS",
    "Block",
    "ChannelLayout",
    "Channels",
    "Compress",
    "Edit",
    "ExchangeLayer",
    "FuseLayers",
    "Graph",
    "Op",
    "Origin",
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
