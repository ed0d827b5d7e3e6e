"""OFM blocks of depthwise and pooling operators on the U85.

Rules: Ethos-U Vela 5.2, block search of the U85. The block covers the OFM best among those whose IFM block and
accumulators fit, and leaves room to fetch another row of input.
"""

from math import prod, sqrt

from ..feature_map import BRICK, Size
from ..rounding import round_down, round_up
from .u85_buffers import Buffers

__all__ = ["covering_blocks", "even_split"]

_RETRIES = 25  # shrinking steps without effect before the compiler shrinks further


def covering_blocks(buffers: Buffers, ofm: Size, ifm: Size, ifm_depth: int) -> tuple[Size, Size]:
    """(OFM block, IFM block); ifm_depth: channels of the IFM block, 0 for those of the OFM block."""
    granule = buffers.granule
    rows, columns, channels = (round_up(n, g) for n, g in zip(ofm, granule, strict=True))
    height, width, depth = _covering_block(buffers, (rows, columns, channels), ifm, ifm_depth)
    relaxed = 0  # bits: which dimension may shrink though another one should
    while True:
        ifm_granule = buffers.ifm_granule(ifm_depth or depth)
        block = buffers.ifm_block((height, width, depth), ifm_granule, ifm_depth)
        if width >= columns and height >= rows and depth >= channels:
            break
        another_row = buffers.ifm_block((granule[0], width, depth), ifm_granule, ifm_depth)
        if buffers.ifm_elements - prod(block) >= prod(another_row):
            break
        if (height != rows or relaxed & 2) and height > granule[0]:
            height -= granule[0]
        elif (depth > width or relaxed & 1) and depth > granule[2]:
            depth -= granule[2]
        elif (width != columns or relaxed & 4) and width > granule[1]:
            width -= granule[1]
        elif relaxed != 7:
            relaxed = relaxed << 1 | 1
        elif depth > granule[2]:
            depth = max(depth // 2, granule[2])
        else:
            break
    return (height, width, depth), block


def _covering_block(buffers: Buffers, ofm: Size, ifm: Size, ifm_depth: int) -> Size:
    """The OFM block that covers the OFM best among those that fit; the OFM is rounded up to the granule."""
    limit = [min(n, most) for n, most in zip(ofm, buffers.limit, strict=True)]
    step = buffers.microblock[0] * buffers.microblock[1] * BRICK
    deepest = min(max(buffers.engine.macs, buffers.accumulators // step), limit[2])
    depth_first = buffers.kernel.reach == (1, 1)
    area = float(ofm[1] * ofm[2] if depth_first else ofm[0] * ofm[1])
    best, best_score = (0, 0, 0), float("inf")
    for depth in range(BRICK, deepest + 1, BRICK):
        plane = _largest_plane(buffers, ofm, ifm, depth, ifm_depth)
        if plane is None:
            break
        height, width = plane
        granule = buffers.ifm_granule(ifm_depth or depth)[2]
        used = depth % granule or granule
        waste = 1.0 + (granule - used) / granule / 10
        fit = 1.0 + abs(1.0 - limit[2] / depth) / 10
        coverage = 1.0 + abs(1.0 - area / (width * (depth if depth_first else height)))
        if coverage * fit * waste < best_score:
            best, best_score = (height, width, depth), coverage * fit * waste
            if depth >= ofm[2] and width >= ofm[1] and height >= ofm[0]:
                return ofm
    return best


def _largest_plane(buffers: Buffers, ofm: Size, ifm: Size, depth: int, ifm_depth: int) -> tuple[int, int] | None:
    """Height and width of an OFM block of `depth` channels that fits, None where none does."""
    granule = buffers.granule
    step = buffers.microblock[0] * buffers.microblock[1] * BRICK
    ifm_granule = buffers.ifm_granule(ifm_depth or depth)
    whole_ifm = prod(round_up(n, g) for n, g in zip(ifm, ifm_granule, strict=True))
    accumulators = buffers.accumulators
    space, previous, retries = accumulators, -1, _RETRIES
    while True:
        width, height = _with_aspect(ofm[0] / ofm[1], space // depth, granule)
        width, height = min(width, ofm[1], buffers.limit[1]), min(height, ofm[0], buffers.limit[0])
        area = width * height
        if width < ofm[1]:
            width = _fullest_width(ofm[1], granule[1], width)
        height = max(round_down(area // width, granule[0]), granule[0])
        sums = width * height * depth
        sum_ratio = accumulators / sums
        ifm_block = buffers.ifm_block((height, width, depth), ifm_granule, ifm_depth)
        ifm_ratio = buffers.ifm_elements / min(prod(ifm_block), whole_ifm)
        if sum_ratio >= 1.0 and ifm_ratio >= 1.0:
            return height, width
        if sums == previous:
            retries -= 1
            if retries <= 0:
                ifm_ratio = 0.9
        previous = sums
        if ifm_ratio < 1.0 < sum_ratio:
            space = min(space, sums)
        smaller = max(int(space // step * min(ifm_ratio, sum_ratio)), 0) * step
        if smaller == space:
            smaller = space - step
        if smaller < step:
            return None
        space = smaller


def _with_aspect(aspect: float, area: int, granule: Size) -> tuple[int, int]:
    """Width and height of about the given area and aspect (height over width), multiples of the granule."""
    w = sqrt(area / aspect)
    h = w * aspect
    if h < 1.0:
        w, h = w * h, 1.0
    elif w < 1.0:
        w, h = 1.0, h * w
    return (
        round_down(max(int(w), granule[1]), granule[1]),
        round_down(max(int(h), granule[0]), granule[0]),
    )


def _fullest_width(columns: int, granule: int, width: int) -> int:
    """The block width near `width` whose last block is fullest."""
    if columns % width == 0:
        return width
    even = even_split(columns, granule, width)
    best, best_rest = width, columns % width
    for candidate in range(width, max(max(even - granule * 2, (even + 1) // 2), granule) - 1, -granule):
        rest = columns % candidate or candidate
        if rest > best_rest:
            best, best_rest = candidate, rest
    return best


def even_split(size: int, granule: int, most: int) -> int:
    """The block length, at most about `most`, that splits a size evenly; a multiple of the granule."""
    if size % most == 0:
        return most
    return max(round_up(size // (size // most + 1), granule), granule)
