"""What the dimensions of a tensor are made of, so that a reshape that takes them apart can follow another input size.

A recorded reshape says (1, 128, 16) -> (1, 128, 4, 4) and nothing of where the fours come from. If the 16 is a
flattened map of 4 x 4 that is now 8 x 8, they are its height and width. So every dimension carries its factors, pairs
(recorded, now), outermost first, through whatever keeps, moves or merges dimensions; a split hands them out again.

A factor that changed is never itself divided: whether 40 = 8 windows of 5 becomes 16 windows of 5 or 8 of 10 only the
network's code knows.
"""

from collections.abc import Sequence
from math import gcd, prod

from .ir import Op

__all__ = ["REDUCTIONS", "Factors", "follow", "plain", "split", "unflattens"]

Shape = tuple[int, ...]
Dim = tuple[tuple[int, int], ...]
Factors = tuple[Dim, ...]

_ROWS = frozenset(("linear", "layer_norm", "rms_norm"))
REDUCTIONS = frozenset(("mean", "sum", "amax", "norm", "var"))


def plain(recorded: Shape, now: Shape) -> Factors:
    """Every dimension one factor.

    >>> plain((1, 16), (1, 64))
    (((1, 1),), ((16, 64),))
    """
    return tuple(((a, b),) for a, b in zip(recorded, now, strict=True))


def split(factors: Factors, recorded: Shape) -> Factors | None:
    """The factors of a reshape's output, whose recorded shape is given; None where they do not tell it.

    >>> split((((1, 1),), ((128, 128),), ((4, 8), (4, 8))), (1, 2, 64, 4, 4))
    (((1, 1),), ((2, 2),), ((64, 64),), ((4, 8),), ((4, 8),))
    >>> split((((40, 80),),), (8, 5)) is None
    True
    """
    pending = [pair for dim in factors for pair in dim if pair != (1, 1)]
    out: list[Dim] = []
    for i, size in enumerate(recorded):
        taken: list[tuple[int, int]] = []
        if size == 1 and pending and pending[0][0] == 1:  # a map of one pixel that grows
            grown = next((k for k, pair in enumerate(pending) if pair[0] > 1), len(pending))
            ones = next((k for k, n in enumerate(recorded[i:]) if n > 1), len(recorded) - i)
            if ones not in (1, grown):
                return None
            taken = [pending.pop(0) for _ in range(grown if ones == 1 else 1)]
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


def unflattens(factors: Factors, recorded: Shape) -> bool:
    """Whether a reshape to this shape takes a dimension apart that several changed sizes were merged into."""
    return len(recorded) > len(factors) and any(sum(a != b for a, b in dim) > 1 for dim in factors)


def follow(op: Op, recorded: Shape, inputs: Sequence[Factors]) -> Factors:
    """The factors of what `op` makes, now in the shape `op.shape`; recorded: the shape it had."""
    out = list(plain(recorded, op.shape))
    if not inputs:
        return tuple(out)
    first = inputs[0]
    found: list[Dim | None] = [None] * len(out)
    if op.kind == "reshape":
        return _kept(split(first, recorded) or (), out)
    if op.kind == "permute":
        found = [first[a] for a in op["axes"]]
    elif op.kind in ("matmul", "attention"):
        found = [*first[:-1], inputs[-1 if op.kind == "matmul" else 2][-1]]
    elif op.kind in _ROWS:
        found = [*first[:-1], None]
    elif op.kind in REDUCTIONS:
        gone = {a % len(first) for a in op["axes"]}
        found = [None if i in gone else dim for i, dim in enumerate(first) if op["keepdim"] or i not in gone]
    else:  # whatever keeps its dimensions or broadcasts; those it does not keep are told by their size
        for other in inputs:
            for i, dim in enumerate(other, len(out) - len(other)):
                if i >= 0 and len(dim) > len(found[i] or ()):
                    found[i] = dim
    return _kept(found, out)


def _kept(found: Sequence[Dim | None], out: Sequence[Dim]) -> Factors:
    """The factors found where they are of this size, the dimension as a whole elsewhere."""
    found = found if len(found) == len(out) else [None] * len(out)
    return tuple(
        dim if dim and (prod(a for a, _ in dim), prod(b for _, b in dim)) == whole[0] else whole
        for dim, whole in zip(found, out, strict=True)
    )
