"""Fronts, their hypervolume and what a candidate adds, against counting by hand and drawing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.search.fronts import expected_improvement, front, hypervolume

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12)


def _arrays(points):
    return np.array(points, float).T


@given(POINTS)
def test_a_front_is_what_nothing_beats(points):
    price, value = _arrays(points)
    chosen = front(price, value).tolist()
    for i, (p, v) in enumerate(points):
        beaten = any(q <= p and w >= v and (q, w) != (p, v) for q, w in points)
        assert (i in chosen) == (not beaten and points.index((p, v)) == i)
    assert np.all(np.diff(price[chosen]) > 0)


@given(POINTS)
def test_a_hypervolume_is_the_number_of_dominated_squares(points):
    price, value = _arrays(points)
    squares = sum(any(p <= x and v >= y + 1 for p, v in points) for x in range(12) for y in range(12))
    assert hypervolume(price, value, most=12, least=0) == squares


def test_what_is_added_is_what_drawing_adds():
    rng = np.random.default_rng(0)
    price, value = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.5])
    candidates, mean, deviation = np.array([0.5, 1.5, 3.0, 6.0]), np.array([0.5, 2.0, 4.0, 1.0]), np.full(4, 0.7)
    expected = expected_improvement(candidates, mean, deviation, (price, value), least=0.0)
    before = hypervolume(price, value, 6, 0)
    for i in range(3):
        drawn = rng.normal(mean[i], deviation[i], 20_000)
        areas = [hypervolume(np.append(price, candidates[i]), np.append(value, v), 6, 0) - before for v in drawn[:4000]]
        # the sliver of width that breaks ties among the dearest adds a thousandth
        assert expected[i] == pytest.approx(np.mean(areas), abs=0.1)
    assert 0 < expected[3] < 0.01
