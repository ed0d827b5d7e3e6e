"""A device learned from totals: fit, predict; saved as JSON.

A lab can measure whole networks, and operators timed alone mislead (their times do not add up to a network's). So the
model has a cost per operator (`roofline.py`) and is fitted to sums: v minimises

    sum over networks of robust((log(total(v)) - log(measured)) / TOLERANCE)^2 + sum of v^2

    v        how far each rate leaves its prior, in standard deviations of the prior (natural logarithms); the last
             one is half the logarithm of the scale
    total    milliseconds of a network: its operators' costs times unit_ms

so that rates which the totals do not determine stay at their priors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from ...errors import FileFormatError, InputError
from ...files import write_atomic
from ...graph import Graph
from ...hardware import Target
from .held_out import interval_and_errors
from .loss import TOLERANCE, robust
from .operator_work import OperatorWork, work_of
from .roofline import GRIDS, NAMES, PRIOR_MEDIAN, PRIOR_SPREAD, Batch, Grid, costs
from .row import LEAST_ROWS, Row

__all__ = ["TotalsModel", "fit_totals", "prior_model"]

_VERSION = 1


@dataclass(frozen=True)
class TotalsModel:
    """Rates of a device (natural logarithms, by the names of `roofline.NAMES`), and what one unit of cost takes.

    grid: what it rounds up to. unit_ms: milliseconds of one cost. interval: (low, high) factors that hold 90 % of
    networks held out. errors: how the fit did, by public name.
    """

    target: str
    digest: str
    compiler: str
    rates: tuple[float, ...]
    unit_ms: float
    grid: Grid
    rows: int
    interval: tuple[float, float] = (1.0, 1.0)
    errors: tuple[tuple[str, float], ...] = ()

    def predict_ops(self, graph: Graph) -> Mapping[str, float]:
        """Milliseconds per graph operator; what runs fused is charged to the first of its group."""
        work = work_of(graph)
        return work.charged(self.predict_work(work))

    def predict(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return float(self.predict_work(work_of(graph)).sum())

    def predict_work(self, work: OperatorWork) -> np.ndarray:
        """Milliseconds per lowered operator."""
        return costs(np.array(self.rates), Batch((work,), self.grid)) * self.unit_ms

    def with_errors(self, ratio: np.ndarray) -> "TotalsModel":
        """The model with the interval and errors of held-out networks (`ratio`: predicted over measured)."""
        interval, errors = interval_and_errors(ratio)
        return replace(self, interval=interval, errors=errors)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "version": _VERSION, "target": self.target, "digest": self.digest, "compiler": self.compiler,
            "rates": dict(zip(NAMES, self.rates, strict=True)), "unit_ms": self.unit_ms, "grid": self.grid,
            "rows": self.rows, "interval": self.interval, "errors": dict(self.errors),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TotalsModel":
        """What `to_dict` gave; ValueError, KeyError or TypeError where it is anything else."""
        if data["version"] != _VERSION or tuple(data["rates"]) != NAMES:
            raise ValueError("of another version")
        reads, makes, plane = data["grid"]
        low, high = data["interval"]
        return cls(
            data["target"], data["digest"], data["compiler"], tuple(map(float, data["rates"].values())),
            float(data["unit_ms"]), (int(reads), int(makes), int(plane)), int(data["rows"]),
            (float(low), float(high)), tuple((str(k), float(v)) for k, v in data["errors"].items()),
        )  # fmt: skip

    def save(self, path: Path) -> Path:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomic(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "TotalsModel":
        """Read what `save` wrote; FileFormatError where it is damaged or of another version."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{path}: not a device model of this version ({error}); calibrate again") from None


def fit_totals(target: Target, rows: Sequence[Row]) -> TotalsModel:
    """The model whose totals are nearest to the rows in relative error.

    Raises InputError where there are too few rows, or one names a part its graph does not have.

    >>> from workbench.estimators.random_networks import sample
    >>> from workbench.hardware import resolve
    >>> rows = [Row(sample(i), 1e-8 * sample(i).macs, f"sample{i}") for i in range(6)]
    >>> fit_totals(resolve("onnxruntime-cpu"), rows).rows
    6
    """
    if len(rows) < LEAST_ROWS:
        raise InputError(f"{len(rows)} measured rows; at least {LEAST_ROWS} are needed (60 make a good model)")
    works = {id(row.graph): work_of(row.graph) for row in rows}
    batch = Batch(tuple(works[id(row.graph)] for row in rows), GRIDS[0], tuple(_mask(row, works) for row in rows))
    latency = np.array([row.latency_ms for row in rows])
    rates, unit, grid, _ = min((_fit(replace(batch, grid=grid), latency) for grid in GRIDS), key=lambda fit: fit[3])
    return TotalsModel(
        target.name, target.digest, target.compiler, tuple(map(float, rates)), float(unit), grid, len(rows)
    )


def prior_model(target: Target, rows: Sequence[Row]) -> TotalsModel:
    """The prior's rates, with the unit that fits the rows best: their median ratio to the prior's totals."""
    batch = Batch(tuple(work_of(row.graph) for row in rows), GRIDS[0])
    expected = batch.totals(costs(PRIOR_MEDIAN, batch))
    unit = float(np.exp(np.median(np.log([row.latency_ms for row in rows]) - np.log(expected))))
    return TotalsModel(
        target.name, target.digest, target.compiler, tuple(PRIOR_MEDIAN.tolist()), unit, GRIDS[0], len(rows)
    )


def _fit(batch: Batch, latency: np.ndarray) -> tuple[np.ndarray, float, Grid, float]:
    measured = np.log(latency)
    scale = float(np.median(measured - np.log(batch.totals(costs(PRIOR_MEDIAN, batch)))))

    def misfit(v: np.ndarray) -> np.ndarray:
        """v: (how far each rate leaves its prior, in spreads; ..., half the logarithm of the scale left)."""
        totals = batch.totals(costs(PRIOR_MEDIAN + v[:-1] * PRIOR_SPREAD, batch))
        return np.concatenate([robust((np.log(totals) + scale + 2 * v[-1] - measured) / TOLERANCE), v])

    solution = least_squares(misfit, np.zeros(len(NAMES) + 1), max_nfev=60)
    rates = PRIOR_MEDIAN + solution.x[:-1] * PRIOR_SPREAD
    return rates, float(np.exp(scale + 2 * solution.x[-1])), batch.grid, float(solution.cost)


def _mask(row: Row, works: Mapping[int, OperatorWork]) -> np.ndarray | None:
    if not row.part:
        return None
    inside = {
        op.name
        for op in row.graph.ops
        if op.name == row.part or op.module == row.part or op.module.startswith(f"{row.part}.")
    }
    mask = np.array([source in inside for source in works[id(row.graph)].sources], dtype=float)
    if not mask.any():
        raise InputError(f"the network {row.name!r} has no part {row.part!r}; a part is a module path or an operator")
    return mask
