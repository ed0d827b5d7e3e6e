"""A device learned from its runtime's profiles: the time of every operator inside of whole networks.

An operator's time is what it takes on processors in general (`roofline.py`) times a factor, learned per class of
operator by Gaussian process regression on the logarithm of what was measured over what was expected. What runs as part
of another operator takes no time; how often an operator of a class without weights does is counted by what it stands
behind.

Tried on the CPU with families held out, 80 networks, mean error: totals alone 8.7 %, forests and boosted trees on the
same profile 11 to 17 %, the factor on top of a model fitted to totals 4.9 %, this 4.2 %, timing a network again 3.8 %.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError
from ...files import write_atomic
from ...graph import Graph
from ...hardware import Target
from ...hardware.lowering import lower
from .gaussian_process import GaussianProcess, fit_gaussian_process
from .held_out import interval_and_errors
from .operator_work import CLASSES, OperatorWork, work_of
from .profile_features import FEATURES, contexts, features
from .row import Row
from .runtime_profile import operator_times
from .totals_model import TotalsModel, prior_model

__all__ = ["Kind", "ProfiledModel", "fit_profiled"]

_VERSION = 1
_WEIGHTED = frozenset(["stem", "conv", "pointwise", "grouped", "depthwise", "fully", "product"])
_LEAST_TIMES = 8
_LEAST_ROWS = 20  # networks
_RESOLUTION_MS = 0.0015  # of the profiler's clock
_PRIOR_COUNT = 2.0


@dataclass(frozen=True, eq=False)
class Kind:
    """One class of operators. factor: natural logarithm of measured over expected time, None where too few operators
    were profiled: then `rate` is that factor. counts: context -> (how often it took time, how often it ran).
    """

    factor: GaussianProcess | None
    rate: float
    counts: Mapping[str, tuple[int, int]]

    def share(self, context: str) -> float:
        """How often such an operator takes time of its own, between 0 and 1."""
        timed, total = self.counts.get(context, (0, 0))
        mean = sum(a for a, _ in self.counts.values()) / max(sum(b for _, b in self.counts.values()), 1)
        return (timed + _PRIOR_COUNT * mean) / (total + _PRIOR_COUNT)


@dataclass(frozen=True, eq=False)
class ProfiledModel:
    """base: the times to expect on processors in general. kinds: by class of operator. interval, errors: as those of
    `TotalsModel`.
    """

    base: TotalsModel
    kinds: Mapping[str, Kind]
    rows: int
    interval: tuple[float, float] = (1.0, 1.0)
    errors: tuple[tuple[str, float], ...] = ()

    def predict_ops(self, graph: Graph) -> Mapping[str, float]:
        """Milliseconds per graph operator; what runs fused is charged to the first of its group."""
        work = work_of(graph)
        return work.charged(self._predict(graph, work))

    def predict(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return float(self._predict(graph, work_of(graph)).sum())

    def _predict(self, graph: Graph, work: OperatorWork) -> np.ndarray:
        ops = lower(graph)
        ms = self.base.predict_work(work)
        all_features, all_contexts = features(ops, work), contexts(ops)
        for number in set(work.kind.tolist()):
            kind, at = self.kinds.get(CLASSES[number]), np.flatnonzero(work.kind == number)
            if kind is None:
                continue
            ms[at] *= kind.rate if kind.factor is None else np.exp(kind.factor(all_features[at]))
            if kind.factor is not None and CLASSES[number] not in _WEIGHTED:
                ms[at] *= [kind.share(all_contexts[i]) for i in at]
        return ms

    def with_errors(self, ratio: np.ndarray) -> "ProfiledModel":
        """The model with the interval and errors of held-out networks (`ratio`: predicted over measured)."""
        interval, errors = interval_and_errors(ratio)
        return replace(self, interval=interval, errors=errors)

    def save(self, path: Path) -> Path:
        """Write it as JSON."""
        kinds = {
            name: {
                "factor": kind.factor.to_dict() if kind.factor else None, "rate": kind.rate, "seen": dict(kind.counts),
            }
            for name, kind in self.kinds.items()
        }  # fmt: skip
        data = {
            "profile": _VERSION, "features": FEATURES, "base": self.base.to_dict(), "kinds": kinds, "rows": self.rows,
            "interval": self.interval, "errors": dict(self.errors),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomic(path, (json.dumps(data) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "ProfiledModel":
        """Read what `save` wrote; FileFormatError where it is damaged or of another version."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["profile"] != _VERSION or tuple(data["features"]) != FEATURES:
                raise ValueError("of another version")
            kinds = {str(name): _kind(kind) for name, kind in data["kinds"].items()}
            low, high = data["interval"]
            return cls(
                TotalsModel.from_dict(data["base"]), kinds, int(data["rows"]), (float(low), float(high)),
                tuple((str(k), float(v)) for k, v in data["errors"].items()),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{path}: not a device model of this version ({error}); calibrate again") from None


def _kind(data: dict[str, Any]) -> Kind:
    factor = None if data["factor"] is None else GaussianProcess.from_dict(data["factor"])
    return Kind(factor, float(data["rate"]), {str(k): (int(a), int(b)) for k, (a, b) in data["seen"].items()})


@dataclass(frozen=True, eq=False)
class _Profile:
    """Operators of one class: features [n, FEATURES], milliseconds spent and expected [n], contexts."""

    features: np.ndarray
    spent: np.ndarray
    expected: np.ndarray
    contexts: Sequence[str]


def fit_profiled(target: Target, rows: Sequence[Row]) -> ProfiledModel | None:
    """The model of profiled networks; None where fewer than 20 of the rows have a profile that can be read."""
    rows = [row for row in rows if row.nodes]
    if len(rows) < _LEAST_ROWS:
        return None
    base = prior_model(target, rows)
    profiles: dict[str, list[_Profile]] = {}
    count = 0
    for row in rows:
        by_class = _profiles(base, row)
        count += by_class is not None
        for name, profile in (by_class or {}).items():
            profiles.setdefault(name, []).append(profile)
    if count < _LEAST_ROWS:
        return None
    return ProfiledModel(base, {name: _learned(parts) for name, parts in profiles.items()}, len(rows))


def _profiles(base: TotalsModel, row: Row) -> dict[str, _Profile] | None:
    """One network's operators by class; None where its profile cannot be read."""
    ops, work = lower(row.graph), work_of(row.graph)
    spent = operator_times(ops, row.nodes)
    if spent is None:
        return None
    expected, all_features, all_contexts = base.predict_work(work), features(ops, work), contexts(ops)
    by_class = {}
    for number in set(work.kind.tolist()):
        at = np.flatnonzero(work.kind == number)
        by_class[CLASSES[number]] = _Profile(all_features[at], spent[at], expected[at], [all_contexts[i] for i in at])
    return by_class


def _learned(parts: Sequence[_Profile]) -> Kind:
    x = np.concatenate([part.features for part in parts])
    spent, expected = np.concatenate([part.spent for part in parts]), np.concatenate([part.expected for part in parts])
    all_contexts = [context for part in parts for context in part.contexts]
    timed = spent > 0
    total = Counter(all_contexts)
    with_time = Counter(context for context, flag in zip(all_contexts, timed, strict=True) if flag)
    counts = {context: (with_time[context], n) for context, n in total.items()}
    rate = float(spent.sum() / max(expected.sum(), 1e-12))
    # operators that are alike in every feature are one point: their mean says more, and the matrix is smaller
    points, group = np.unique(np.round(x[timed], 4), axis=0, return_inverse=True)
    if len(points) < _LEAST_TIMES:
        return Kind(None, rate, counts)
    group, size = group.ravel(), np.bincount(group.ravel())
    target = np.bincount(group, np.log(spent[timed] / expected[timed])) / size
    mean = np.bincount(group, spent[timed]) / size
    return Kind(fit_gaussian_process(points, target, (_RESOLUTION_MS / mean) ** 2), rate, counts)
