"""Transforms: one file each. To add one, write its file and list it here."""

from collections.abc import Mapping
from types import MappingProxyType

from .base import Transform
from .cluster_weights import ClusterWeights
from .dense_depthwise import DenseDepthwise
from .depth_multiplier import DepthMultiplier
from .even_channels import EvenChannels
from .fuse_ibn import FuseIBN
from .select import select
from .sparsify import Sparsify

__all__ = [
    "TRANSFORMS",
    "ClusterWeights",
    "DenseDepthwise",
    "DepthMultiplier",
    "EvenChannels",
    "FuseIBN",
    "Sparsify",
    "Transform",
    "select",
]

# What recipes, the widget and the command line know by name.
TRANSFORMS: Mapping[str, type[Transform]] = MappingProxyType(
    {cls.__name__: cls for cls in (FuseIBN, EvenChannels, DepthMultiplier, DenseDepthwise, Sparsify, ClusterWeights)}
)
