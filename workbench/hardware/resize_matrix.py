"""Bicubic resizing of rows or columns as a product with a constant matrix.

N, M    elements before and after
t       how far an output stands behind the element before it, 0 <= t < 1

Keys (1981), cubic convolution interpolation, with a = -3/4 as torch has it: four elements weigh, with distance d < 1
(a + 2) d^3 - (a + 3) d^2 + 1, beyond a d^3 - 5 a d^2 + 8 a d - 4 a; at the borders the outermost stands for those
outside.
"""

import numpy as np

__all__ = ["bicubic_matrix"]

_A = -0.75


def bicubic_matrix(
    before: int, after: int, align_corners: bool = False, factor: float | None = None
) -> np.ndarray:
    """[M, N], float64. factor: of enlargement where it is not M / N.

    >>> bicubic_matrix(4, 4).tolist() == np.eye(4).tolist()
    True
    """
    outputs = np.arange(after)
    ratio, shift = ((before - 1) / max(after - 1, 1), 0.0) if align_corners else (1 / (factor or after / before), 0.5)
    places = (outputs + shift) * ratio - shift
    first = np.floor(places).astype(int)
    matrix = np.zeros((after, before))
    for tap in (-1, 0, 1, 2):
        distance = np.abs(places - first - tap)
        near = (_A + 2) * distance**3 - (_A + 3) * distance**2 + 1
        far = _A * distance**3 - 5 * _A * distance**2 + 8 * _A * distance - 4 * _A
        np.add.at(matrix, (outputs, np.clip(first + tap, 0, before - 1)), np.where(distance < 1, near, far))
    return matrix
