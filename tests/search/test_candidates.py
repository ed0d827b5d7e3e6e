"""The integer program's answers are what trying every candidate gives, at the prices that the space has."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from workbench.estimators import Budgets
from workbench.space import Choice, Prices, Slot, Space

NETWORK = (0, 1)  # slots of the network, whose choices scale what blocks add up to


@pytest.fixture
def small(candidates):
    """Three blocks and two slots of the network, three choices each; prices and losses drawn."""
    rng = np.random.default_rng(5)
    choices = tuple(Choice(label) for label in ("as it is", "one", "two"))
    space = Space((Slot("", choices, "widths"), Slot("", choices, "input size"), *(Slot(b, choices) for b in "abc")))
    changes = np.zeros((3, 5, 3))
    changes[0, :, 1:] = 2.0 * rng.uniform(-0.3, 0.05, (5, 2))
    changes[0, :2, 1:] = 2.0 * np.array([[-0.4, 0.2], [-0.5, -0.25]])
    losses = np.zeros((5, 3))
    losses[:, 1:] = rng.uniform(0.1, 1, (5, 2))
    return replace(candidates, space=space, prices=Prices(np.array([2.0, 1, 1]), changes, NETWORK), losses=losses)


@pytest.mark.parametrize("budget", [None, 0.9])
@pytest.mark.parametrize("network", [(0, 0), (1, 0), (2, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_the_program_means_by_a_price_what_the_space_does(small, network, share, budget):
    small = replace(small, budgets=Budgets(latency_ms=budget))
    every = np.array([(*network, *blocks) for blocks in product(range(3), repeat=3)])
    price, loss = small.latency_ms(every), small.loss(every)
    most = price.min() + share * max(0.0, 2.0 - price.min())
    within = price <= min(most, budget or np.inf) + 1e-9
    answer = small._program(share, dict(zip(NETWORK, network, strict=True)))
    if not within.any():
        assert answer is None
    else:
        assert answer[:2] == network
        assert small.latency_ms(np.array([answer]))[0] <= min(most, budget or np.inf) + 1e-5
        assert small.loss(np.array([answer]))[0] == pytest.approx(loss[within].min(), rel=1e-3)
