"""What the dimensions of a tensor are made of, so that a reshape that splits them can follow another input size.

A recorded reshape says (1, 128, 16) -> (1, 128, 4, 4) and nothing of where the fours come from. If the 16 is a
flattened map of 4 x 4 that is now 8 x 8, they are its height and width. So every dimension carries its factors, pairs
(recorded, now), outermost first, through whatever keeps, moves or merges dimensions; a split hands them out again.

A factor that changed is never itself divided: whether 40 = 8 windows of 5 becomes 16 windows of 5 or 8 of 10 only the
network's code knows.
"""

from collections.abc import Sequence
from math import gcd, prod

from .kinds import PRODUCTS, REDUCTIONS
from .op import Op

__all__ = ["Factors", "output_factors", "reshape_factors", "single_factors", "splits_merged"]

Shape = tuple[int, ...]
Dim = tuple[tuple[int, int], ...]
Factors = tuple[Dim, ...]

_KEEP_ALL_BUT_LAST = frozenset(("linear", "layer_norm", "rms_norm"))


def single_factors(recorded: Shape, now: Shape) -> Factors:
    """Every dimension one factor.

    >>> single_factors((1, 16), (1, 64))
    (((1, 1),), ((16, 64),))
    """
    return tuple(((a, b),) for a, b in zip(recorded, now, strict=True))


def reshape_factors(factors: Factors, recorded: Shape) -> Factors | None:
    """The factors of a reshape's output of that recorded shape; None where those of its input do not tell them.

    >>> reshape_factors((((1, 1),), ((128, 128),), ((4, 8), (4, 8))), (1, 2, 64, 4, 4))
    (((1, 1),), ((2, 2),), ((64, 64),), ((4, 8),), ((4, 8),))
    >>> reshape_factors((((40, 80),),), (8, 5)) is None
    True
    """
    pending = [pair for dim in factors for pair in dim if pair != (1, 1)]
    out: list[Dim] = []
    for i, size in enumerate(recorded):
        taken: list[tuple[int, int]] = []
        if size == 1 and pending and pending[0][0] == 1:  # a map of one pixel that grows
            count = _grown(pending, recorded[i:])
            if count is None:
                return None
            taken, pending = pending[:count], pending[count:]
        while size > 1:
            if not pending:
                return None
            old, now = pending[0]
            common = gcd(old, size)
            if common == old > 1:
                taken.append(pending.pop(0))
            elif old == now and common > 1:
                pending[0] = (old // common, old // common)
                taken.append((common, common))
            else:
                return None
            size //= taken[-1][0]
        out.append(tuple(taken) or ((1, 1),))
    if out and all(old == 1 for old, _ in pending):
        out[-1] += tuple(pending)
        pending = []
    return None if pending else tuple(out)


def _grown(pending: Sequence[tuple[int, int]], recorded: Shape) -> int | None:
    """How many factors that were 1 the first of the recorded dimensions, a 1, takes; None where that is open."""
    grown = next((k for k, pair in enumerate(pending) if pair[0] > 1), len(pending))
    ones = next((k for k, n in enumerate(recorded) if n > 1), len(recorded))
    if ones not in (1, grown):
        return None
    return grown if ones == 1 else 1


def splits_merged(factors: Factors, recorded: Shape) -> bool:
    """Whether a reshape to this shape splits a dimension that several changed sizes were merged into."""
    return len(recorded) > len(factors) and any(sum(a != b for a, b in dim) > 1 for dim in factors)


def output_factors(op: Op, recorded: Shape, inputs: Sequence[Factors]) -> Factors:
    """The factors of what `op` makes, now in the shape `op.shape`; recorded: the shape it had."""
    single = single_factors(recorded, op.shape)
    if not inputs:
        return single
    first = inputs[0]
    dims: list[Dim | None] = [None] * len(single)
    if op.kind == "reshape":
        dims = [*(reshape_factors(first, recorded) or ())]
    elif op.kind == "permute":
        dims = [first[a] for a in op["axes"]]
    elif op.kind in PRODUCTS:
        dims = [*first[:-1], inputs[-1 if op.kind == "matmul" else 2][-1]]
    elif op.kind in _KEEP_ALL_BUT_LAST:
        dims = [*first[:-1], None]
    elif op.kind in REDUCTIONS:
        axes = {a % len(first) for a in op["axes"]}
        dims = [None if i in axes else dim for i, dim in enumerate(first) if op["keepdim"] or i not in axes]
    else:  # whatever keeps its dimensions or broadcasts; those it does not keep are told by their size
        for other in inputs:
            for i, dim in enumerate(other, len(single) - len(other)):
                if i >= 0 and len(dim) > len(dims[i] or ()):
                    dims[i] = dim
    return _checked(dims, single)


def _checked(dims: Sequence[Dim | None], single: Factors) -> Factors:
    """The factors of each dimension where they make its size, the dimension as a single one elsewhere."""
    dims = dims if len(dims) == len(single) else [None] * len(single)
    return tuple(
        dim if dim and (prod(a for a, _ in dim), prod(b for _, b in dim)) == whole[0] else whole
        for dim, whole in zip(dims, single, strict=True)
    )
