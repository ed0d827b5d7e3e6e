"""What the tile searches of all accelerators share.

Rules: Ethos-U Vela 5.2, block search of the U55 and of the U85.
"""

import numpy as np

from .passes import up

__all__ = ["depths_of", "least"]

_SPLIT = 16
_SMALL = 4  # rows and columns of a tile that may still win among equals


def depths_of(micro: int, most: int, channels: int) -> list[int]:
    """The depths that compete: steps of the micro-tile up to `most`, whole bricks while there are more channels."""
    depths, depth = [], max(micro, min(most, _SPLIT))
    if depth < channels:
        depth = up(depth, _SPLIT)
    while depth <= most:
        depths.append(depth)
        depth += micro
        if depth < channels:
            depth = up(depth, _SPLIT)
    return depths or [most]


def least(
    cost: np.ndarray, h: np.ndarray, w: np.ndarray, rows: np.ndarray, cols: np.ndarray, ifm: tuple[int, int, int],
    any_size: bool = False,
) -> tuple[int, int, int]:  # fmt: skip
    """Where the cost [depths, heights, widths] is least; among equals a later one wins only while it is small (or
    `any_size` may) and covers no less of the input.

    h, w: of the tiles. rows, cols: of their input. All broadcast to the cost.
    """
    equal = np.argwhere(cost == cost.min())
    h, w, rows, cols = (np.broadcast_to(x, cost.shape) for x in (h, w, rows, cols))
    best, covered = equal[0], np.inf
    for at in equal[1:]:
        i, j, k = at
        share = ifm[0] * ifm[1] / max(min(ifm[0], rows[i, j, k]) * min(ifm[1], cols[i, j, k]), 1)
        if share <= covered and (any_size or (h[i, j, k] <= _SMALL and w[i, j, k] <= _SMALL)):
            covered, best = share, at
    return int(best[0]), int(best[1]), int(best[2])
