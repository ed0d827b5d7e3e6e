"""What fits the buffers of a U85 for one microblock and kernel.

    granule    rows, columns, channels that a buffer is allocated in
"""

from dataclasses import dataclass

from ..feature_map import BRICK, Size
from ..rounding import round_up
from .config import Kernel
from .u85_engine import Engine

__all__ = ["LIMIT", "Buffers", "ofm_granule"]

LIMIT = (128, 128, 1024)  # largest OFM block


@dataclass(frozen=True)
class Buffers:
    """bits: of an IFM element. granule, limit: of OFM blocks, before a fused transpose."""

    engine: Engine
    microblock: Size
    bits: int
    kernel: Kernel
    granule: Size
    limit: Size

    @property
    def ifm_elements(self) -> int:
        """Elements that the IFM buffer holds."""
        return self.engine.ifm_bytes * 8 // self.bits

    @property
    def accumulators(self) -> int:
        """32-bit sums that the accumulator buffer holds."""
        return self.engine.accumulator_bytes * 8 // 32

    def ifm_granule(self, depth: int) -> Size:
        """Granule of the IFM buffer for IFM blocks of `depth` channels."""
        level = 2 if depth * self.bits > 256 else 1 if depth * self.bits > 128 else 0
        flat = self.microblock[:2] == (1, 4)
        rows, columns, bricks = (self.engine.flat_granules if flat else self.engine.square_granules)[level]
        return rows, columns, bricks * 128 // self.bits

    def ifm_block(self, ofm_block: Size, granule: Size, ifm_depth: int) -> Size:
        """The IFM block of an OFM block; ifm_depth: its channels, 0 for those of the OFM block."""
        reach, stride = self.kernel.subkernel_reach, self.kernel.stride
        rows = round_up((ofm_block[0] - 1) * stride[0] + reach[0], granule[0])
        columns = round_up((ofm_block[1] - 1) * stride[1] + reach[1], granule[1])
        return rows, columns, round_up(ifm_depth or ofm_block[2], granule[2])


def ofm_granule(microblock: Size, transpose: Size | None, bricks: bool) -> tuple[Size, Size]:
    """Granule and limit of OFM blocks. With a fused transpose, limits are those of the written block, while blocks are
    cut before it. bricks: whether the OFM is in brick format.
    """
    granule = [microblock[0], microblock[1], BRICK]
    if transpose is None:
        return (granule[0], granule[1], granule[2]), LIMIT
    if bricks and transpose[2] < 2:
        granule[transpose[2]] = BRICK
    rows, columns, channels = (LIMIT[transpose.index(axis)] for axis in range(3))
    return (granule[0], granule[1], granule[2]), (rows, columns, channels)
