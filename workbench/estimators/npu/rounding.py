"""Rounding to multiples, as buffers and block sizes need it."""

from typing import Any, TypeVar, overload

import numpy as np

__all__ = ["ceil_div", "round_down", "round_up"]

Number = TypeVar("Number", int, np.ndarray)


@overload
def ceil_div(n: int, m: int) -> int: ...
@overload
def ceil_div(n: np.ndarray, m: int) -> np.ndarray: ...
@overload
def ceil_div(n: int, m: np.ndarray) -> np.ndarray: ...
def ceil_div(n: Any, m: Any) -> Any:
    """The quotient n / m rounded up; n and m are integers or integer arrays.

    >>> ceil_div(17, 8)
    3
    """
    return -(-n // m)


def round_up(n: Number, m: Any) -> Number:
    """The smallest multiple of m that is at least n; n and m are integers or integer arrays.

    >>> round_up(17, 8)
    24
    """
    return -(-n // m) * m


def round_down(n: int, m: int) -> int:
    """The largest multiple of m that is at most n.

    >>> round_down(17, 8)
    16
    """
    return n // m * m
