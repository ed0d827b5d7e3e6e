"""Transforms: one file each. To add one, write its file and list it here."""

from collections.abc import Mapping
from types import MappingProxyType

from .base import Transform, describe
from .cluster_weights import ClusterWeights
from .composition import Step, compose
from .dense_depthwise import DenseDepthwise
from .depth_multiplier import DepthMultiplier
from .drop_block import DropBlock
from .even_channels import EvenChannels
from .expand_ratio import ExpandRatio
from .fuse_ibn import FuseIBN
from .input_size import InputSize
from .kernel_size import KernelSize
from .output_stride import OutputStride
from .remove_se import RemoveSE
from .replace_activation import ReplaceActivation
from .select import select
from .sparsify import Sparsify

__all__ = [
    "TRANSFORMS",
    "ClusterWeights",
    "DenseDepthwise",
    "DepthMultiplier",
    "DropBlock",
    "EvenChannels",
    "ExpandRatio",
    "FuseIBN",
    "InputSize",
    "KernelSize",
    "OutputStride",
    "RemoveSE",
    "ReplaceActivation",
    "Sparsify",
    "Step",
    "Transform",
    "compose",
    "describe",
    "select",
]

# What recipes, the widget and the command line know by name.
TRANSFORMS: Mapping[str, type[Transform]] = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            FuseIBN,
            EvenChannels,
            DepthMultiplier,
            DenseDepthwise,
            ExpandRatio,
            KernelSize,
            ReplaceActivation,
            RemoveSE,
            DropBlock,
            InputSize,
            OutputStride,
            Sparsify,
            ClusterWeights,
        )
    }
)
