"""Estimates of another model, corrected to totals that were measured on the chip.

corrected = base x factor of the operator's class + operator_ms        milliseconds of one operator
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ...errors import InputError
from ...graph import Graph
from .loss import TOLERANCE, robust
from .operator_work import CLASSES, work_of

__all__ = ["Correction", "correct"]


@dataclass(frozen=True)
class Correction:
    """factors: one per class of `work.CLASSES`. operator_ms: added for every operator. rows: networks measured."""

    factors: tuple[float, ...]
    operator_ms: float
    rows: int

    def apply(self, graph: Graph, base_ms: Mapping[str, float]) -> Mapping[str, float]:
        """The corrected milliseconds by graph operator."""
        work = work_of(graph)
        factor = dict(zip(reversed(work.sources), (self.factors[k] for k in reversed(work.kind)), strict=True))
        once = dict.fromkeys(work.sources, self.operator_ms)
        return {n: ms * factor.get(n, float(np.median(self.factors))) + once.get(n, 0.0) for n, ms in base_ms.items()}


def correct(graphs: Sequence[Graph], base_ms: Sequence[Mapping[str, float]], latency_ms: Sequence[float]) -> Correction:
    """The correction of another model's estimates per operator to a few measured totals.

    base_ms: per graph, milliseconds by graph operator (a compiler's model of the same chip, say).

        measured ~ sum of base x factor of the operator's class + price x operators,   factors held near one another
    """
    rows = [_by_class(graph, base) for graph, base in zip(graphs, base_ms, strict=True)]
    spent, counts = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=float)
    measured = np.log(np.asarray(latency_ms, dtype=float))
    if len(rows) == 0:
        raise InputError("no measured network; at least 1 is needed")
    scale = float(np.median(measured - np.log(spent.sum(1))))

    def misfit(v: np.ndarray) -> np.ndarray:
        totals = spent @ np.exp(scale + v[0] + v[2:]) + counts * np.exp(scale + v[1])
        # the common factor is free, a class may leave it by a tenth or so, an operator's price starts at nothing
        prior = [v[0] / 2, (v[1] - log_price) / 2, *v[2:] / 0.15]
        return np.concatenate([robust((np.log(totals) - measured) / TOLERANCE), prior])

    log_price = float(np.log(1e-3 * spent.sum() / counts.sum()))
    solution = least_squares(misfit, np.array([0.0, log_price, *[0.0] * len(CLASSES)])).x
    return Correction(
        tuple(float(x) for x in np.exp(scale + solution[0] + solution[2:])),
        float(np.exp(scale + solution[1])),
        len(rows),
    )


def _by_class(graph: Graph, base_ms: Mapping[str, float]) -> tuple[np.ndarray, int]:
    """Base milliseconds per class, and operators that are charged; times of no such operator count as "other"."""
    work = work_of(graph)
    first = dict(zip(reversed(work.sources), (int(k) for k in reversed(work.kind)), strict=True))
    spent = np.zeros(len(CLASSES))
    for name, ms in base_ms.items():
        spent[first.get(name, len(CLASSES) - 1)] += ms
    return spent, sum(name in first for name in base_ms)
