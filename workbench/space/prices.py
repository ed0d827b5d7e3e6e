"""Prices of a space's candidates, by the thousand.

What a choice changes is modelled once, in the window around its block (`estimators/edit_window.py`). Choices of blocks
add what they change to the network; choices of the network (its widths, its input size) scale all that there is:

    p[f, c] = (b[f] + sum over s of d[f, s, c[s]]) x product over n of (1 + d[f, n, c[n]] / b[f])

    c         one number a slot, that of its choice                      [slots]
    s, n      slots of blocks; slots of the network
    b[f]      figure f of the network as it is: ms, parameters, multiply-accumulates
    d[f,s,k]  what choice k of slot s, taken alone, changes of figure f; NaN where slot s has no choice k

What is lost: two edits side by side that change each other's cost, and blocks that a choice of the network scales more
or less than the rest. Whoever adopts a candidate estimates it whole.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..estimators import WeightValues, delta_ms, estimate
from ..estimators.weight_distributions import NORMAL
from ..graph import Graph
from ..hardware import Target
from ..transforms import compose
from .slots import Space

__all__ = ["Prices", "prices"]


@dataclass(frozen=True, eq=False)
class Prices:
    """What a network and each choice alone cost.

    base: ms, parameters and multiply-accumulates of the network as it is [3]. changes: of each [3, slots, choices].
    scaling: numbers of the slots whose choices scale what the others leave.

    >>> changes = np.array([[[0.0, -0.5], [0.0, 0.25]], [[0, 10], [0, 20]], [[0, 0], [0, 0]]])
    >>> Prices(np.array([2.0, 100, 1000]), changes).latency_ms(np.array([[0, 0], [1, 1]]))
    array([2.  , 1.75])
    """

    base: np.ndarray
    changes: np.ndarray
    scaling: tuple[int, ...] = ()

    def latency_ms(self, candidates: np.ndarray) -> np.ndarray:
        """Milliseconds [n], estimated, of candidates given as numbers of choices [n, slots]; raises InputError."""
        return self._summed(0, candidates)

    def params(self, candidates: np.ndarray) -> np.ndarray:
        """Parameters [n] of candidates [n, slots]."""
        return self._summed(1, candidates)

    def macs(self, candidates: np.ndarray) -> np.ndarray:
        """Multiply-accumulates [n] of candidates [n, slots]."""
        return self._summed(2, candidates)

    def _summed(self, figure: int, candidates: np.ndarray) -> np.ndarray:
        changes = self.changes[figure]
        slots, widest = changes.shape
        if candidates.ndim != 2 or candidates.shape[1] != slots:
            raise InputError(
                f"candidates of shape {list(candidates.shape)}; a column a slot makes [n, {slots}]"
            )
        if candidates.size and (candidates.min() < 0 or candidates.max() >= widest):
            outside = candidates.min() if candidates.min() < 0 else candidates.max()
            raise InputError(f"candidates with choice {outside}; choices are counted from 0 to {widest - 1}")
        base = self.base[figure]
        taken = changes[np.arange(slots), candidates]
        scaling = np.isin(np.arange(slots), self.scaling)
        summed: np.ndarray = base + taken[:, ~scaling].sum(axis=1)
        if scaling.any():
            summed = summed * (1 + taken[:, scaling] / base).prod(axis=1)
        if np.isnan(summed).any():
            row = candidates[int(np.argmax(np.isnan(summed)))]
            slot = int(np.argmax(np.isnan(changes[np.arange(slots), row])))
            most = int(np.sum(~np.isnan(changes[slot]))) - 1
            raise InputError(f"choice {row[slot]} in slot {slot}, whose choices are counted from 0 to {most}")
        return summed


def prices(space: Space, graph: Graph, target: Target, values: WeightValues = NORMAL) -> Prices:
    """Model every choice of the space once, alone; raises NotApplicable where one does not apply to `graph`."""
    changes = np.full((3, len(space.slots), max(space.widths, default=1)), np.nan)
    for s, slot in enumerate(space.slots):
        for k, choice in enumerate(slot.choices):
            steps = compose(choice.transforms, graph, target)
            after = steps[-1].graph if steps else graph
            latency = delta_ms(graph, after, target, values) if steps else 0.0
            changes[:, s, k] = latency, after.params - graph.params, after.macs - graph.macs
    base = np.array([estimate(graph, target, values).latency_ms, graph.params, graph.macs], float)
    return Prices(base, changes, tuple(s for s, slot in enumerate(space.slots) if not slot.block))
