"""Costs of a search's candidates, by the thousand.

A candidate chooses a variant for every block. What a variant changes is modelled once, in the window around its block
(`window.py`); a candidate costs the network plus what its variants change:

    cycles(candidate) = cycles(network) + sum over blocks of delta(block, variant)

What is lost: two edits side by side that change each other's cost. Whoever adopts a candidate estimates it whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import Graph
from ..hardware import EthosU
from .cycle_model import modelled
from .edit_window import delta_cycles
from .weight_distributions import NORMAL, WeightValues

__all__ = ["BlockCosts", "block_costs"]


@dataclass(frozen=True)
class BlockCosts:
    """base_ms: of the network as it is. blocks: their names. delta_ms[b][v]: what variant v of block b changes; variant
    0 is the block as it is.
    """

    base_ms: float
    blocks: tuple[str, ...]
    delta_ms: tuple[tuple[float, ...], ...]

    def latency_ms(self, choices: np.ndarray) -> np.ndarray:
        """Milliseconds [n] of candidates given as numbers of variants [n, blocks].

        >>> BlockCosts(2.0, ("a", "b"), ((0.0, -0.5), (0.0, 0.25))).latency_ms(np.array([[0, 0], [1, 1]]))
        array([2.  , 1.75])
        """
        widest = max((len(row) for row in self.delta_ms), default=1)
        table = np.array([[*row, *[np.nan] * (widest - len(row))] for row in self.delta_ms])
        found: np.ndarray = self.base_ms + table[np.arange(len(self.blocks)), choices].sum(axis=1)
        return found


def block_costs(
    graph: Graph, target: EthosU, variants: Mapping[str, Sequence[Graph]], values: WeightValues = NORMAL
) -> BlockCosts:
    """Model every variant once. variants: block -> networks that differ from `graph` in that block alone."""
    to_ms = 1e3 / target.clock_hz
    return BlockCosts(
        sum(modelled(graph, target, values).cycles) * to_ms,
        tuple(variants),
        tuple(
            (0.0, *(delta_cycles(graph, edited, target, values) * to_ms for edited in networks))
            for networks in variants.values()
        ),
    )
