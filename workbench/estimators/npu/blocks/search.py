"""What the block searches of all accelerators share.

Rules: Ethos-U Vela 5.2, block search of the U55 and of the U85.

    h, w, d       rows, columns, channels of the competing OFM blocks
    rows, cols    rows and columns of their IFM blocks
"""

import numpy as np

from ..feature_map import BRICK, Size
from ..rounding import round_up

__all__ = ["candidate_depths", "cheapest"]

_SMALL = 4  # rows and columns of an OFM block that may still win among equals


def candidate_depths(microblock_depth: int, limit: int, channels: int) -> list[int]:
    """The depths that compete: steps of the microblock up to `limit`, whole bricks while there are more channels."""
    depths, depth = [], max(microblock_depth, min(limit, BRICK))
    if depth < channels:
        depth = round_up(depth, BRICK)
    while depth <= limit:
        depths.append(depth)
        depth += microblock_depth
        if depth < channels:
            depth = round_up(depth, BRICK)
    return depths or [limit]


def cheapest(
    cost: np.ndarray, h: np.ndarray, w: np.ndarray, rows: np.ndarray, cols: np.ndarray, ifm: Size,
    any_size: bool = False,
) -> tuple[int, int, int]:  # fmt: skip
    """Index (depth, height, width) of the least cost [depths, heights, widths].

    Among equals a later one wins only while its OFM block is small (any size may with `any_size`) and its IFM block
    covers no less of the IFM. h, w, rows, cols: broadcast to the cost.
    """
    equals = np.argwhere(cost == cost.min())
    h, w, rows, cols = (np.broadcast_to(x, cost.shape) for x in (h, w, rows, cols))
    best, best_blocks = equals[0], np.inf
    for candidate in equals[1:]:
        i, j, k = candidate
        ifm_blocks = ifm[0] * ifm[1] / max(min(ifm[0], rows[i, j, k]) * min(ifm[1], cols[i, j, k]), 1)
        if ifm_blocks <= best_blocks and (any_size or (h[i, j, k] <= _SMALL and w[i, j, k] <= _SMALL)):
            best_blocks, best = ifm_blocks, candidate
    return int(best[0]), int(best[1]), int(best[2])
