"""A building block of a network."""

from dataclasses import dataclass

__all__ = ["BLOCK_KINDS", "Block"]

BLOCK_KINDS = (
    "ibn", "fused-ibn", "depthwise-separable", "universal-ib", "bottleneck", "basic", "conv", "head", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A building block and the facts experts select by.

    name: timm path ("blocks.1.0", or of its first layer where a block is loose layers: "conv_stem").
    kind: one of BLOCK_KINDS.
    ops: names of its operators, in execution order. input: the tensor it reads; output: the one it makes.
    resolution: (h, w) at its input. width, mid_width, out_width: channels in, widest inside, out.
    stride: input over output resolution. kernel: of its largest spatial convolution (0 where it has none).
    residual: a shortcut is added to its main path. se: it has a squeeze-excite (or similar) gate.
    cls: class name of its module.
    """

    name: str
    kind: str
    ops: tuple[str, ...]
    input: str
    output: str
    resolution: tuple[int, int]
    width: int
    mid_width: int
    out_width: int
    stride: int
    kernel: int
    residual: bool
    se: bool
    cls: str = ""
