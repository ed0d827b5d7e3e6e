"""What a block configuration is."""

from typing import NamedTuple

from ..feature_map import Size
from ..rounding import ceil_div

__all__ = ["SUBKERNEL", "BlockConfig", "Kernel"]

SUBKERNEL = 8  # a larger kernel is applied in parts of at most 8 x 8


class BlockConfig(NamedTuple):
    """The blocks a pass is cut into, each (rows, columns, channels).

    ifm, ofm: IFM block and OFM block. microblock: the part of the OFM block computed at once (OFM ublock).
    part_kernel_first: whether the MAC units work through kernel elements first, else through input channels (the
    compiler's part-kernel-first and depth-first traversal).
    """

    ifm: Size
    ofm: Size
    microblock: Size
    part_kernel_first: bool


class Kernel(NamedTuple):
    """A kernel: size, stride and dilation, each (rows, columns); upscale: as in `Pass`.

    >>> Kernel((3, 3), (1, 1), (2, 2)).reach
    (5, 5)
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    upscale: int = 1

    @property
    def elements(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def reach(self) -> tuple[int, int]:
        """Input rows and columns of one output element."""
        return (self.size[0] - 1) * self.dilation[0] + 1, (self.size[1] - 1) * self.dilation[1] + 1

    @property
    def subkernel_reach(self) -> tuple[int, int]:
        """`reach` of the largest part the kernel is applied in."""
        rows, columns = self.reach
        return min(rows, SUBKERNEL), min(columns, SUBKERNEL)

    @property
    def subkernels(self) -> int:
        """Parts the kernel is applied in."""
        rows, columns = self.reach
        return ceil_div(rows, SUBKERNEL) * ceil_div(columns, SUBKERNEL)
