"""Which dimensions a reshape keeps, merges and splits."""

from collections.abc import Sequence
from math import prod

from .op import Op

__all__ = ["Dims", "reshape_dims", "split_axes"]

Dims = tuple[tuple[int, ...] | None, ...]


def reshape_dims(before: Sequence[int], after: Sequence[int]) -> Dims:
    """Per output dimension the tuple of input dimensions it merges, () for a literal 1, None where it splits.

    The first dimension is the batch, so an output that starts with 1 only continues an input that does.

    >>> reshape_dims((1, 960, 7, 7), (1, 960 * 49))
    ((0,), (1, 2, 3))
    >>> reshape_dims((1, 64, 56, 56), (1, 2, 32, 56, 56))
    ((0,), None, None, (2,), (3,))
    """
    dims: list[tuple[int, ...] | None] = []
    i, j = 0, 0  # the next dimension before and after
    while j < len(after):
        if after[j] == 1 and (j > 0 or tuple(before[:1]) in ((1,), ())):
            takes = i < len(before) and before[i] == 1
            dims.append((i,) if takes else ())
            i, j = i + takes, j + 1
            continue
        if i == len(before):
            return (None,) * len(after)  # an empty tensor: nothing to follow
        first, first_after, size, size_after = i, j, before[i], after[j]
        i, j = i + 1, j + 1
        while size > size_after and size % size_after == 0 and j < len(after):
            size_after *= after[j]
            j += 1
        while i < len(before) and (size < size_after or size % size_after):
            size *= before[i]
            i += 1
            while size > size_after and size % size_after == 0 and j < len(after):
                size_after *= after[j]
                j += 1
        merges = j == first_after + 1 and size == size_after
        dims += [tuple(range(first, i))] if merges else [None] * (j - first_after)
    if i < len(before) and dims and dims[-1] is not None and prod(before[i:]) == 1:
        dims[-1] += tuple(range(i, len(before)))
    return tuple(dims)


def split_axes(op: Op, shape: tuple[int, ...], axis: int) -> tuple[int, int] | None:
    """The two axes into which a reshape splits one axis of the shape it reads, None where it does something else to it.

    >>> op = Op("y", "reshape", ("x",), (1, 2, 64, 7, 7), attrs=(("dims", ((0,), None, None, (2,), (3,))),))
    >>> split_axes(op, (1, 128, 7, 7), 1)
    (1, 2)
    """
    before, first = prod(shape[:axis]), 0
    while first < len(op.shape) and (prod(op.shape[:first]) < before or op.shape[first] == 1):
        first += 1
    sizes = op.shape[first : first + 2]
    whole = prod(op.shape[:first]) == before and len(sizes) == 2 and prod(sizes) == shape[axis]
    return (first, first + 1) if whole and op["dims"][first] is None and op["dims"][first + 1] is None else None
