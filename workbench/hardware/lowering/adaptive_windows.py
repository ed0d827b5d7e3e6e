"""Adaptive pools as pools of windows of one size each, put side by side.

L, M    elements of a row or column, windows on it: window i is [floor(i L / M), ceil((i + 1) L / M))
run     windows of one size that follow each other at one distance: a slice and one pool of it

A mean (or the largest value) of a rectangle is that of the means of its rows, so rows and columns may be pooled one
after the other: where both have several runs, that is fewer pools than one for every two of them. Accelerators pool
with strides up to 3; with longer ones they take windows side by side, or one window at a time.
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Run", "passes"]

_LONGEST_STRIDE = 3


class Run(NamedTuple):
    """start, stop: the elements it reads. kernel, stride: of its windows, as many as `windows`."""

    start: int
    stop: int
    kernel: int
    stride: int
    windows: int


def passes(size: Sequence[int], windows: Sequence[int]) -> tuple[tuple[tuple[Run, ...], tuple[Run, ...]], ...]:
    """The pools from a map of `size` (rows, columns) to so many windows, one after the other.

    Each has several runs along one direction at most: (runs of rows, runs of columns).

    >>> passes((7, 7), (3, 3)) == (((Run(0, 7, 3, 2, 3),), (Run(0, 7, 3, 2, 3),)),)
    True
    """
    rows, columns = (_runs(n, m) for n, m in zip(size, windows, strict=True))
    even = [len(runs) == 1 for runs in (rows, columns)]
    if all(even) or (any(even) and max(rows[0].stride, columns[0].stride) <= _LONGEST_STRIDE):
        return ((rows, columns),)
    if even[0]:
        return ((rows, _single(size[1])), (_single(windows[0]), columns))
    return ((_single(size[0]), columns), (rows, _single(windows[1])))


def _single(length: int) -> tuple[Run, ...]:
    """Every element by itself."""
    return (Run(0, length, 1, 1, length),)


def _runs(length: int, count: int) -> tuple[Run, ...]:
    if length % count == 0:
        return (Run(0, length, length // count, length // count, count),)
    runs: list[Run] = []
    for i in range(count):
        start, stop = i * length // count, -(-(i + 1) * length // count)
        if runs:
            last = runs[-1]
            step = start - (last.start + (last.windows - 1) * last.stride)
            goes_on = last.windows == 1 or step == last.stride
            if goes_on and stop - start == last.kernel and 0 < step <= _LONGEST_STRIDE:
                runs[-1] = Run(last.start, stop, last.kernel, step, last.windows + 1)
                continue
        runs.append(Run(start, stop, stop - start, 1, 1))
    return tuple(runs)
