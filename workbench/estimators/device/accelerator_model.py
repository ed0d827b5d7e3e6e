"""A device that is one of the Ethos-U accelerators: that accelerator's estimates, corrected to the device's totals.

A lab measures what it ships, and that is often a chip whose compiler the workbench models. The totals tell which one:
those of the right accelerator differ from them by one factor,

    spread(accelerator) = median |log r - median(log r)|,    r = measured / estimated total of one network, no unit

That accelerator's estimates are then corrected (`correction.py`), and compete with the model of totals alone
(`totals_model.py`) on families held out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from ...errors import FileFormatError
from ...files import write_atomic
from ...graph import Graph
from ...hardware import ETHOS_U, EthosU, Target
from ..cycle_model import modelled, operator_ms
from .correction import Correction, correct
from .held_out import interval_and_errors
from .row import LEAST_ROWS, Row

__all__ = ["AcceleratorModel", "fit_accelerator"]

_VERSION = 1
_RECOGNISED_BY = 12  # networks that tell which accelerator it is
_MOST_SPREAD = 0.5  # natural logarithms; beyond it is none of the accelerators


@dataclass(frozen=True)
class AcceleratorModel:
    """The estimates of `base`, an accelerator by name, corrected.

    rows: networks it was fitted to. interval: (low, high) factors that hold 90 % of networks held out. errors: how the
    fit did, by public name.
    """

    target: str
    digest: str
    compiler: str
    base: str
    correction: Correction
    interval: tuple[float, float] = (1.0, 1.0)
    errors: tuple[tuple[str, float], ...] = ()

    @property
    def rows(self) -> int:
        """Networks it was fitted to."""
        return self.correction.rows

    def predict_ops(self, graph: Graph) -> Mapping[str, float]:
        """Milliseconds per graph operator; what runs fused is charged to the first of its group."""
        return self.correction.apply(graph, _base_ms(graph, self.base)[0])

    def predict(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return sum(self.predict_ops(graph).values())

    def with_errors(self, ratio: np.ndarray) -> Self:
        """The model with the interval and errors of held-out networks (`ratio`: predicted over measured)."""
        interval, errors = interval_and_errors(ratio)
        return replace(self, interval=interval, errors=errors)

    def save(self, path: Path) -> Path:
        """Write it as JSON."""
        data: dict[str, Any] = {
            "version": _VERSION, "target": self.target, "digest": self.digest, "compiler": self.compiler,
            "base": self.base, "factors": self.correction.factors, "operator_ms": self.correction.operator_ms,
            "rows": self.rows, "interval": self.interval, "errors": dict(self.errors),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomic(path, (json.dumps(data, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; FileFormatError where it is damaged or of another version."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["version"] != _VERSION or data["base"] not in ETHOS_U:
                raise ValueError("of another version")
            factors = tuple(float(x) for x in data["factors"])
            low, high = data["interval"]
            return cls(
                data["target"], data["digest"], data["compiler"], data["base"],
                Correction(factors, float(data["operator_ms"]), int(data["rows"])), (float(low), float(high)),
                tuple((str(k), float(v)) for k, v in data["errors"].items()),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{path}: not a device model of this version ({error}); calibrate again") from None


def fit_accelerator(target: Target, rows: Sequence[Row]) -> AcceleratorModel | None:
    """The accelerator whose estimates the totals are nearest to, corrected; None where they are near none.

    Rows of parts are left out; fewer than five others are too few to tell.
    """
    whole = sorted((row for row in rows if not row.part), key=lambda row: row.latency_ms)
    if len(whole) < LEAST_ROWS:
        return None
    sample = [whole[i] for i in np.linspace(0, len(whole) - 1, min(_RECOGNISED_BY, len(whole))).round().astype(int)]
    spread = {base: _spread(sample, base) for base in ETHOS_U}
    base = min(spread, key=spread.__getitem__)
    if spread[base] > _MOST_SPREAD:
        return None
    estimated = [(row, *_base_ms(row.graph, base)) for row in whole]
    used = [(row, ms) for row, ms, complete in estimated if complete]
    if len(used) < LEAST_ROWS:
        return None
    correction = correct([row.graph for row, _ in used], [ms for _, ms in used], [row.latency_ms for row, _ in used])
    return AcceleratorModel(target.name, target.digest, target.compiler, base, correction)


def _spread(rows: Sequence[Row], base: str) -> float:
    """How far the totals are from one factor times the accelerator's: the median deviation of their logarithms."""
    ratios = []
    for row in rows:
        spent, complete = _base_ms(row.graph, base)
        if complete:
            ratios.append(row.latency_ms / sum(spent.values()))
    if len(ratios) < LEAST_ROWS:
        return float("inf")
    logs = np.log(ratios)
    return float(np.median(np.abs(logs - np.median(logs))))


@lru_cache(maxsize=4096)
def _base_ms(graph: Graph, base: str) -> tuple[Mapping[str, float], bool]:
    """Milliseconds by graph operator, and whether the accelerator takes all of them."""
    target = EthosU(base)
    network = modelled(graph, target)
    return operator_ms(network.run, network.cycles, target), not network.missing
