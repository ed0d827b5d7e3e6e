"""Every transform there is, in the order in which the widget and the shell show them.

To add one, write its file and its line here: recipes, sessions, the widget, the shell, `workbench.NAME`, the catalogue
of the space, the tests of all transforms and the surgery benchmark find it there.
"""

# ruff: noqa: I001  (the order is that of the list, not of the alphabet)
from .fuse_ibn import FuseIBN as FuseIBN
from .even_channels import EvenChannels as EvenChannels
from .depth_multiplier import DepthMultiplier as DepthMultiplier
from .dense_depthwise import DenseDepthwise as DenseDepthwise
from .expand_ratio import ExpandRatio as ExpandRatio
from .kernel_size import KernelSize as KernelSize
from .replace_activation import ReplaceActivation as ReplaceActivation
from .remove_se import RemoveSE as RemoveSE
from .drop_block import DropBlock as DropBlock
from .input_size import InputSize as InputSize
from .output_stride import OutputStride as OutputStride
from .sparsify import Sparsify as Sparsify
from .cluster_weights import ClusterWeights as ClusterWeights
