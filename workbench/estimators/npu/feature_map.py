"""Feature maps as the accelerator stores them.

NHWCB16, the "brick format", stores 16 channels of one pixel side by side (a brick), then the next pixel; channels are
padded to a multiple of 16. NHWC stores all channels of a pixel side by side.
"""

from typing import NamedTuple

from .rounding import round_up

__all__ = ["BRICK", "FeatureMap", "Size"]

Size = tuple[int, int, int]  # rows, columns, channels
BRICK = 16  # channels


class FeatureMap(NamedTuple):
    """A feature map [height, width, channels] of elements of `bits` bits.

    bricks: stored in brick format, else NHWC. A scalar has one element.

    >>> FeatureMap(7, 7, 24).stored_bytes, FeatureMap(7, 7, 24, bricks=False).stored_bytes
    (1568, 1176)
    """

    height: int
    width: int
    channels: int
    bricks: bool = True
    bits: int = 8

    @property
    def size(self) -> Size:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def elements(self) -> int:
        return self.height * self.width * self.channels

    @property
    def stored_elements(self) -> int:
        """Elements, those that fill up the last brick included."""
        return self.height * self.width * (round_up(self.channels, BRICK) if self.bricks else self.channels)

    @property
    def stored_bytes(self) -> int:
        return self.stored_elements * self.bits // 8
