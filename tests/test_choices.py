"""The integer program chooses what trying everything chooses."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.choices import Bound, choose

NUMBERS = st.integers(-20, 20).map(lambda n: n / 4)  # exact in binary, and no sums that differ by less than 1/4


@st.composite
def programs(draw, penalties):
    """(costs, bounds, forbidden) of up to 4 slots with up to 3 choices each, and up to 2 bounds."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))

    def table(entries):
        return [draw(st.lists(entries, min_size=count, max_size=count)) for count in counts]

    bounds = [Bound(table(NUMBERS), draw(NUMBERS), draw(penalties)) for _ in range(draw(st.integers(0, 2)))]
    return table(NUMBERS), bounds, table(st.sampled_from([False, False, True]))


def _amount(table, choice):
    return sum(row[number] for row, number in zip(table, choice, strict=True))


def _best(costs, bounds, forbidden):
    """The least cost of all choices that hold, excesses paid; None where none holds."""
    totals = []
    for choice in product(*(range(len(row)) for row in costs)):
        excess = [max(0.0, _amount(bound.amounts, choice) - bound.most) for bound in bounds]
        hard = any(e > 0 for e, bound in zip(excess, bounds, strict=True) if bound.penalty is None)
        if not hard and not _amount(forbidden, choice):
            paid = sum(e * bound.penalty for e, bound in zip(excess, bounds, strict=True) if bound.penalty is not None)
            totals.append(_amount(costs, choice) + paid)
    return min(totals, default=None)


@given(programs(st.none()))
def test_hard_bounds(program):
    _check(*program)


@given(programs(st.one_of(st.none(), st.integers(0, 8).map(lambda n: n / 2))))
def test_bounds_with_a_penalty(program):
    _check(*program)


def _check(costs, bounds, forbidden):
    best = _best(costs, bounds, forbidden)
    choice = choose(costs, bounds, forbidden, gap=0)
    if best is None:
        assert choice is None
    else:
        assert choice is not None
        fixed = [[number != taken for number in range(len(row))] for row, taken in zip(costs, choice, strict=True)]
        assert not _amount(forbidden, choice)
        assert _best(costs, bounds, fixed) == pytest.approx(best, abs=1e-6)


def test_no_slots():
    assert choose([]) == ()
    assert choose([], [Bound([], 1.0)]) == ()
    assert choose([], [Bound([], -1.0)]) is None
