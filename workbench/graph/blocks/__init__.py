"""Building blocks: which operators form one inverted bottleneck, one residual block, one plain convolution.

A block is a module of the tree, found by structure. Inside a module, the main path is the longest chain of
layers from what it reads to what it makes, squeeze-excite and shortcut branches left out; written as one letter a
layer (p: 1x1, d: depthwise, k: KxK dense or grouped, l: linear, a: matrix product), it says the kind:

    pdp  ibn      kp  fused-ibn (k dense, expanding)      dp  depthwise-separable      pk..p  bottleneck
    kk   basic    dpdp (expanding), and dpp or pp where timm's class says so  universal-ib         p, d, k  conv

From the root down, the first module whose chain is one of the longer ones is a block; a module that holds such
modules, or repeats one module, is a stage and is looked into; any other module with layers is one block as it
stands. Layers that stand loose between blocks are grouped: each convolution with the norm and activation behind
it. What computes on globally pooled features up to the output is the head.
"""

from .block import BLOCK_KINDS, Block
from .finding import find_blocks

__all__ = ["BLOCK_KINDS", "Block", "find_blocks"]
