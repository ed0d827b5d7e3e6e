"""Fronts of two objectives, a price (less is better) and a value (more is better), and what a candidate adds to one.

    n            candidates
    c[n]         price of each, known
    v[n]         value of each
    (C, V)       the reference: the largest price and the smallest value that still count
    front        the candidates that no other beats in one objective and equals in the other, by rising price    [F]
    hypervolume  area between the front and the reference, in units of price x value
    m[n], s[n]   mean and standard deviation of a candidate whose value is not known: it is Normal(m, s^2)

A candidate of price c and value v adds, at each price between c and C, what v exceeds the best value that the front has
up to that price by. The front is a staircase, so the expected addition is a sum over its F + 1 steps of the step's
width right of c times E[max(v - best, 0)], which is the expected improvement of one objective (Jones et al. 1998,
"Efficient global optimization of expensive black-box functions", eq. 15). With one of two objectives known this is the
expected hypervolume improvement (Emmerich et al. 2006, "Single- and multiobjective evolutionary optimization assisted
by Gaussian random field metamodels") without integration.
"""

import numpy as np
from scipy.special import ndtr

__all__ = ["expected_improvement", "front", "hypervolume"]


def front(price: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Numbers of the candidates that no other beats, by rising price (and so rising value); of equals the first.

    >>> front(np.array([2.0, 1.0, 3.0, 3.0]), np.array([5.0, 4.0, 4.5, 6.0])).tolist()
    [1, 0, 3]
    """
    by_price = np.lexsort((-value, price))
    best_before = np.maximum.accumulate(np.append(-np.inf, value[by_price]))[:-1]
    return by_price[value[by_price] > best_before]


def hypervolume(price: np.ndarray, value: np.ndarray, most: float, least: float) -> float:
    """The area that candidates dominate within the reference of a price of `most` and a value of `least`.

    >>> hypervolume(np.array([1.0, 2.0]), np.array([4.0, 5.0]), most=3, least=3)
    3.0
    """
    inside = (price <= most) & (value >= least)
    steps = front(price[inside], value[inside])
    prices, values = price[inside][steps], value[inside][steps]
    return float(np.sum((most - prices) * np.diff(values, prepend=least)))


def expected_improvement(
    price: np.ndarray, mean: np.ndarray, deviation: np.ndarray, steps: tuple[np.ndarray, np.ndarray], least: float
) -> np.ndarray:
    """The hypervolume that each candidate is expected to add, [n].

    price, mean, deviation: of the candidates, [n]. steps: prices and values of the front, both rising, [F]; the
    reference's price is the largest of `price` and the front's. least: the reference's value.
    """
    prices, values = steps
    most = max(price.max(), prices.max())
    edges = np.concatenate([[-np.inf], prices, [most]])
    level = np.append(least, values)
    width = np.clip(edges[1:] - np.maximum(edges[:-1], price[:, None]), 0, None)
    z = (mean[:, None] - level) / deviation[:, None]
    gain = deviation[:, None] * (np.exp(-z * z / 2) / np.sqrt(2 * np.pi) + z * ndtr(z))
    # The dearest candidates have no price to their right: a sliver of width lets their value break ties.
    width[:, -1] += 1e-3 * (most - min(price.min(), prices.min()))
    return np.asarray((width * gain).sum(1))
