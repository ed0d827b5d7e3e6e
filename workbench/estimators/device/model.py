"""A device learned from totals: fit, predict; saved as JSON.

What a lab can measure is whole networks, and operators timed alone mislead (they do not add up to a network). So the
model prices operators (`roofline.py`) and is fitted to sums: rates that make the totals right in relative error, the
priors holding on to what the totals do not tell.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.optimize import least_squares

from ...errors import FileFormatError, InputError
from ...files import write_atomic
from ...graph import Graph
from ...hardware import Target
from .profile import Node
from .roofline import GRIDS, NAMES, PRIOR_MEDIAN, PRIOR_SPREAD, Batch, Grid, costs
from .work import Work, work_of

__all__ = ["LEAST_ROWS", "TOLERANCE", "DeviceModel", "Row", "fit", "held_out", "judged", "robust", "unfitted"]

_VERSION = 1
TOLERANCE = 0.06  # relative error of a total that is worth one standard deviation of a prior
LEAST_ROWS = 5
_FOLDS = 5


@dataclass(frozen=True)
class Row:
    """One measured latency, batch 1.

    part: "" for the whole graph, else a module path or an operator's name. family: what is held out together. nodes:
    what the runtime's profiler says of it, nothing where it has none.
    """

    graph: Graph
    latency_ms: float
    name: str
    family: str = ""
    part: str = ""
    nodes: tuple[Node, ...] = ()


class Predicts(Protocol):
    """A model of a device."""

    def predict(self, graph: Graph) -> float: ...


Learn = Callable[[Sequence[Row]], Predicts | None]


@dataclass(frozen=True)
class DeviceModel:
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
        spent: dict[str, float] = {}
        for name, ms in zip(work.sources, self.predict_work(work), strict=True):
            spent[name] = spent.get(name, 0.0) + float(ms)
        return spent

    def predict(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return float(self.predict_work(work_of(graph)).sum())

    def predict_work(self, work: Work) -> np.ndarray:
        """Milliseconds per lowered operator."""
        return costs(np.array(self.rates), Batch((work,), self.grid)) * self.unit_ms

    def with_errors(self, ratio: np.ndarray) -> "DeviceModel":
        """The same with what held-out networks say (`ratio`: predicted over measured)."""
        interval, errors = judged(ratio)
        return replace(self, interval=interval, errors=errors)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "version": _VERSION, "target": self.target, "digest": self.digest, "compiler": self.compiler,
            "rates": dict(zip(NAMES, self.rates, strict=True)), "unit_ms": self.unit_ms, "grid": self.grid,
            "rows": self.rows, "interval": self.interval, "errors": dict(self.errors),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> "DeviceModel":
        """What `to_dict` gave; ValueError, KeyError or TypeError where it is anything else."""
        if said["version"] != _VERSION or tuple(said["rates"]) != NAMES:
            raise ValueError("of another version")
        reads, makes, plane = said["grid"]
        low, high = said["interval"]
        return cls(
            said["target"], said["digest"], said["compiler"], tuple(map(float, said["rates"].values())),
            float(said["unit_ms"]), (int(reads), int(makes), int(plane)), int(said["rows"]),
            (float(low), float(high)), tuple((str(k), float(v)) for k, v in said["errors"].items()),
        )  # fmt: skip

    def save(self, path: Path) -> Path:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomic(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "DeviceModel":
        """Read what `save` wrote; FileFormatError where it is damaged or of another version."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{path}: not a device model of this version ({error}); calibrate again") from None


def fit(target: Target, rows: Sequence[Row]) -> DeviceModel:
    """The model whose totals are nearest to the rows in relative error.

    Raises InputError where there are too few rows, or one names a part its graph does not have.

    >>> from workbench.estimators.sampling import sample
    >>> from workbench.hardware import resolve
    >>> rows = [Row(sample(i), 1e-8 * sample(i).macs, f"sample{i}") for i in range(6)]
    >>> fit(resolve("onnxruntime-cpu"), rows).rows
    6
    """
    if len(rows) < LEAST_ROWS:
        raise InputError(f"{len(rows)} measured rows; at least {LEAST_ROWS} are needed (60 make a good model)")
    works = {id(row.graph): work_of(row.graph) for row in rows}
    batch = Batch(tuple(works[id(row.graph)] for row in rows), GRIDS[0], tuple(_mask(row, works) for row in rows))
    latency = np.array([row.latency_ms for row in rows])
    rates, unit, grid, _ = min((_fit(replace(batch, grid=grid), latency) for grid in GRIDS), key=lambda found: found[3])
    return DeviceModel(
        target.name, target.digest, target.compiler, tuple(map(float, rates)), float(unit), grid, len(rows)
    )


def unfitted(target: Target, rows: Sequence[Row]) -> DeviceModel:
    """The model that takes of the rows how fast the device is, and everything else as it usually is."""
    batch = Batch(tuple(work_of(row.graph) for row in rows), GRIDS[0])
    expected = batch.totals(costs(PRIOR_MEDIAN, batch))
    unit = float(np.exp(np.median(np.log([row.latency_ms for row in rows]) - np.log(expected))))
    return DeviceModel(
        target.name, target.digest, target.compiler, tuple(PRIOR_MEDIAN.tolist()), unit, GRIDS[0], len(rows)
    )


def judged(ratio: np.ndarray) -> tuple[tuple[float, float], tuple[tuple[str, float], ...]]:
    """(low, high) factors that hold 90 % of the networks, and mean error and shares within 5 and 10 % by public name.

    ratio: predicted over measured.
    """
    if not len(ratio):
        return (1.0, 1.0), ()
    off = np.abs(ratio - 1)
    low, high = np.quantile(1 / ratio, [0.05, 0.95])
    errors = {"mape": off.mean(), "within_5": (off <= 0.05).mean(), "within_10": (off <= 0.10).mean()}
    return (min(1.0, float(low)), max(1.0, float(high))), tuple((name, float(v)) for name, v in errors.items())


def held_out(learn: Learn, rows: Sequence[Row], folds: int = _FOLDS) -> np.ndarray:
    """Predicted over measured for every whole network, by models that saw none of its family (NaN where there is none).

    learn: rows -> a model with `predict`, or None. Families go to folds in alphabetical order, round robin; each random
    network is a family of its own.
    """
    family = [row.family if row.family != "sample" else f"sample/{row.name}" for row in rows]
    number = {name: i % folds for i, name in enumerate(sorted(set(family)))}
    ratio = np.full(len(rows), np.nan)
    for k in range(folds):
        model = learn([row for row, f in zip(rows, family, strict=True) if number[f] != k])
        for i, row in enumerate(rows):
            if model is not None and number[family[i]] == k and not row.part:
                ratio[i] = model.predict(row.graph) / row.latency_ms
    return ratio


def _fit(batch: Batch, latency: np.ndarray) -> tuple[np.ndarray, float, Grid, float]:
    measured = np.log(latency)
    scale = float(np.median(measured - np.log(batch.totals(costs(PRIOR_MEDIAN, batch)))))

    def misfit(v: np.ndarray) -> np.ndarray:
        """v: (how far each rate leaves its prior, in spreads; ..., half the logarithm of the scale left)."""
        totals = batch.totals(costs(PRIOR_MEDIAN + v[:-1] * PRIOR_SPREAD, batch))
        return np.concatenate([robust((np.log(totals) + scale + 2 * v[-1] - measured) / TOLERANCE), v])

    found = least_squares(misfit, np.zeros(len(NAMES) + 1), max_nfev=60)
    rates = PRIOR_MEDIAN + found.x[:-1] * PRIOR_SPREAD
    return rates, float(np.exp(scale + 2 * found.x[-1])), batch.grid, float(found.cost)


def robust(r: np.ndarray) -> np.ndarray:
    """Squares near zero, straight lines beyond two: one network the model cannot explain must not bend all others."""
    return np.sign(r) * np.sqrt(8 * (np.sqrt(1 + r * r / 4) - 1))


def _mask(row: Row, works: Mapping[int, Work]) -> np.ndarray | None:
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
