"""The frozen graph, its blocks, its channel segments, and plans that edit it."""

from .blocks import Block
from .channels import Channels, Segment
from .ir import Graph, Op, Param
from .plan import Compress, Edit, Plan, Replace, Resize, SetInput, SetSpatial
from .rewrite import rewrite

__all__ = [
    "Block",
    "Channels",
    "Compress",
    "Edit",
    "Graph",
    "Op",
    "Param",
    "Plan",
    "Replace",
    "Resize",
    "Segment",
    "SetInput",
    "SetSpatial",
    "rewrite",
]
