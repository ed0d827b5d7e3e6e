"""One choice per slot under linear bounds: an integer program, solved by HiGHS through `scipy.optimize.milp`.

    s          a slot                                                                      1 .. S
    k          a choice of slot s; every slot has one at least                             1 .. K[s]
    x[s, k]    1 where choice k is taken in slot s, else 0                                 [sum K]
    c[s, k]    what the choice costs; any unit, say u                                      [sum K], u
    a[b, s, k] what the choice adds to bound b; any unit a bound                           [B, sum K]
    m[b]       the most that the choices may add up to                                     [B]
    p[b]       penalty: what an excess of 1 costs, in u; none for a bound that must hold   [B]
    y[b]       the excess over a bound that has a penalty, >= 0                            [B]

    min  sum c x + sum p y    so that    sum over k of x[s, k] = 1,    sum a[b] x - y[b] <= m[b],    x[s, k] = 0 where
                                                                                                     forbidden

A bound from below is one from above with all signs turned. The solver tells apart sums that differ by 1e-6: callers
scale each bound so that what it adds up is near 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Bound", "choose"]

Table = Sequence[Sequence[float]]  # a row a slot, an entry a choice


@dataclass(frozen=True)
class Bound:
    """The amounts of the choices taken add up to at most `most`.

    amounts: of each slot's choices. penalty: cost of an excess of 1; None for a bound that must hold.
    """

    amounts: Table
    most: float
    penalty: float | None = None


def choose(
    costs: Table, bounds: Sequence[Bound] = (), forbidden: Sequence[Sequence[bool]] | None = None, gap: float = 1e-4
) -> tuple[int, ...] | None:
    """Per slot the number of its choice, counted from zero, at the least cost in all; None where no choice holds.

    costs: of each slot's choices. forbidden: choices that must not be taken. gap: how far, as a share of the cost, the
    answer may be from the best.

    >>> choose([[0, 1], [0, 2]], [Bound([[3, 1], [3, 0]], most=4)])
    (1, 0)
    >>> choose([[0, 1], [0, 2]], [Bound([[3, 1], [3, 0]], most=0)]) is None
    True
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # half a second to import, and few plans need it

    counts = [len(row) for row in costs]
    if not counts:
        return () if all(bound.most >= 0 or bound.penalty is not None for bound in bounds) else None
    ends = np.cumsum(counts)
    cost = _flat(costs)
    soft = [b for b, bound in enumerate(bounds) if bound.penalty is not None]
    excess = np.zeros((len(bounds), len(soft)))
    excess[soft, range(len(soft))] = -1
    one_each = np.zeros((len(counts), len(cost) + len(soft)))
    for s, (end, count) in enumerate(zip(ends, counts, strict=True)):
        one_each[s, end - count : end] = 1
    rules = [LinearConstraint(one_each, 1, 1)]
    if bounds:
        amounts = np.array([_flat(bound.amounts) for bound in bounds])
        rules.append(LinearConstraint(np.hstack([amounts, excess]), -np.inf, [bound.most for bound in bounds]))
    most = np.ones(len(cost)) if forbidden is None else 1 - _flat(forbidden)
    penalties = [bound.penalty for bound in bounds if bound.penalty is not None]
    result = milp(
        np.append(cost, penalties),
        integrality=np.append(np.ones(len(cost)), np.zeros(len(soft))),
        bounds=Bounds(0, np.append(most, np.full(len(soft), np.inf))),
        constraints=rules,
        options={"mip_rel_gap": gap},
    )
    if result.x is None:
        return None
    return tuple(int(np.argmax(result.x[end - count : end])) for end, count in zip(ends, counts, strict=True))


def _flat(table: Table | Sequence[Sequence[bool]]) -> np.ndarray:
    """A number a choice, slot after slot."""
    return np.array([entry for row in table for entry in row], float)
