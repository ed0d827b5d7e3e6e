"""A device learned from what its runtime's profiler says of every operator, inside of whole networks.

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
from ...hardware.lowering import HwOp, lower
from .model import DeviceModel, Row, judged, unfitted
from .profile import charged
from .regression import Process, fit_process
from .work import CLASSES, Work, work_of

__all__ = ["FEATURES", "Kind", "ProfiledModel", "fit_profiled"]

_VERSION = 1
FEATURES = (
    "channels read", "channels made, rounded up", "read unaligned", "made unaligned", "rounding", "height", "width",
    "kernel", "stride", "groups", "elements read", "elements alive", "activated", "added to", "activated after",
    "behind a layer", "reordered after", "channels of a group", "group unaligned", "read uneven",
)  # fmt: skip
_VECTOR, _ALIGNED = 16, 4  # channels a wide register holds, and those that are read at a time
_WEIGHTED = frozenset(["stem", "conv", "pointwise", "grouped", "depthwise", "fully", "product"])
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_LATE = ("HARD_SWISH", "LEAKY_RELU", "LOGISTIC")  # activations that a runtime may do with the layer before
_REORDERS = ("RESHAPE", "TRANSPOSE", "CONCATENATION")
_LEAST_TIMES = 8
_LEAST_ROWS = 20  # networks
_RESOLUTION_MS = 0.0015  # of the profiler's clock
_PRIOR_COUNT = 2.0


@dataclass(frozen=True, eq=False)
class Kind:
    """One class of operators. factor: logarithm of measured over expected, None where too few were seen: then `rate`
    is that factor. seen: context -> (how often it took time, how often it was there).
    """

    factor: Process | None
    rate: float
    seen: Mapping[str, tuple[int, int]]

    def share(self, context: str) -> float:
        """How often such an operator takes time of its own."""
        took, all_ = self.seen.get(context, (0, 0))
        mean = sum(a for a, _ in self.seen.values()) / max(sum(b for _, b in self.seen.values()), 1)
        return (took + _PRIOR_COUNT * mean) / (all_ + _PRIOR_COUNT)


@dataclass(frozen=True, eq=False)
class ProfiledModel:
    """base: what is expected. kinds: by class of operator. interval, errors: as those of `DeviceModel`."""

    base: DeviceModel
    kinds: Mapping[str, Kind]
    rows: int
    interval: tuple[float, float] = (1.0, 1.0)
    errors: tuple[tuple[str, float], ...] = ()

    def predict_ops(self, graph: Graph) -> Mapping[str, float]:
        """Milliseconds per graph operator; what runs fused is charged to the first of its group."""
        work = work_of(graph)
        spent: dict[str, float] = {}
        for name, ms in zip(work.sources, self._predict(graph, work), strict=True):
            spent[name] = spent.get(name, 0.0) + float(ms)
        return spent

    def predict(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return float(self._predict(graph, work_of(graph)).sum())

    def _predict(self, graph: Graph, work: Work) -> np.ndarray:
        ops = lower(graph)
        found = self.base.predict_work(work)
        features, contexts = _features(ops, work), _contexts(ops)
        for c in set(work.kind.tolist()):
            kind, here = self.kinds.get(CLASSES[c]), np.flatnonzero(work.kind == c)
            if kind is None:
                continue
            found[here] *= kind.rate if kind.factor is None else np.exp(kind.factor(features[here]))
            if kind.factor is not None and CLASSES[c] not in _WEIGHTED:
                found[here] *= [kind.share(contexts[i]) for i in here]
        return found

    def with_errors(self, ratio: np.ndarray) -> "ProfiledModel":
        """The same with what held-out networks say (`ratio`: predicted over measured)."""
        interval, errors = judged(ratio)
        return replace(self, interval=interval, errors=errors)

    def save(self, path: Path) -> Path:
        """Write it as JSON."""
        kinds = {
            name: {
                "factor": kind.factor.to_dict() if kind.factor else None, "rate": kind.rate, "seen": dict(kind.seen),
            }
            for name, kind in self.kinds.items()
        }  # fmt: skip
        said = {
            "profile": _VERSION, "features": FEATURES, "base": self.base.to_dict(), "kinds": kinds, "rows": self.rows,
            "interval": self.interval, "errors": dict(self.errors),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomic(path, (json.dumps(said) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "ProfiledModel":
        """Read what `save` wrote; FileFormatError where it is damaged or of another version."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["profile"] != _VERSION or tuple(said["features"]) != FEATURES:
                raise ValueError("of another version")
            kinds = {str(name): _kind(one) for name, one in said["kinds"].items()}
            low, high = said["interval"]
            return cls(
                DeviceModel.from_dict(said["base"]), kinds, int(said["rows"]), (float(low), float(high)),
                tuple((str(k), float(v)) for k, v in said["errors"].items()),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{path}: not a device model of this version ({error}); calibrate again") from None


def _kind(said: dict[str, Any]) -> Kind:
    factor = None if said["factor"] is None else Process.from_dict(said["factor"])
    return Kind(factor, float(said["rate"]), {str(k): (int(a), int(b)) for k, (a, b) in said["seen"].items()})


def fit_profiled(target: Target, rows: Sequence[Row]) -> ProfiledModel | None:
    """The model of profiled networks; None where fewer than 20 of the rows have a profile that can be read."""
    rows = [row for row in rows if row.nodes]
    if len(rows) < _LEAST_ROWS:
        return None
    base = unfitted(target, rows)
    samples: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]]] = {}
    count = 0
    for row in rows:
        ops = lower(row.graph)
        spent = charged(ops, row.nodes)
        if spent is None:
            continue
        count += 1
        work = work_of(row.graph)
        expected, features, contexts = base.predict_work(work), _features(ops, work), _contexts(ops)
        for c in set(work.kind.tolist()):
            here = np.flatnonzero(work.kind == c)
            one = features[here], spent[here], expected[here], [contexts[i] for i in here]
            samples.setdefault(CLASSES[c], []).append(one)
    if count < _LEAST_ROWS:
        return None
    kinds = {}
    for name, found in samples.items():
        features, spent, expected = (np.concatenate([part[i] for part in found]) for i in range(3))
        kinds[name] = _learned(features, spent, expected, [context for part in found for context in part[3]])
    return ProfiledModel(base, kinds, len(rows))


def _learned(features: np.ndarray, spent: np.ndarray, expected: np.ndarray, contexts: Sequence[str]) -> Kind:
    took = spent > 0
    there, taken = Counter(contexts), Counter(c for c, t in zip(contexts, took, strict=True) if t)
    seen = {context: (taken[context], n) for context, n in there.items()}
    rate = float(spent.sum() / max(expected.sum(), 1e-12))
    # operators that are alike in every feature are one point: their mean says more, and the matrix is smaller
    points, group = np.unique(np.round(features[took], 4), axis=0, return_inverse=True)
    if len(points) < _LEAST_TIMES:
        return Kind(None, rate, seen)
    group, size = group.ravel(), np.bincount(group.ravel())
    target = np.bincount(group, np.log(spent[took] / expected[took])) / size
    mean = np.bincount(group, spent[took]) / size
    return Kind(fit_process(points, target, (_RESOLUTION_MS / mean) ** 2), rate, seen)


# ---- what tells operators of a class apart ----------------------------------------------------------------------


def _features(ops: Sequence[HwOp], work: Work) -> np.ndarray:
    """[operators, FEATURES]; sizes as natural logarithms, the rest 0 or 1."""
    run = [op for op in ops if op.kind != "INPUT"]
    made = {op.name: i for i, op in enumerate(run)}
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(run):
        for name in op.inputs:
            readers.setdefault(name, []).append(i)
    added, after, behind, reordered = (np.zeros(len(run)) for _ in range(4))
    for i, op in enumerate(run):
        if op.kind == "ADD" and op.const is None:
            sums = [made[name] for name in op.inputs if name in made and len(readers[name]) == 1]
            layers = [k for k in sums if run[k].kind in _LAYERS and run[k].act == "NONE"]
            if layers:
                added[layers[-1]] = 1
        next_ = [run[k].kind for k in readers.get(op.name, ())]
        after[i] = len(next_) == 1 and next_[0] in _LATE
        reordered[i] = any(kind in _REORDERS for kind in next_)
        behind[i] = bool(op.inputs) and op.inputs[0] in made and run[made[op.inputs[0]]].kind in _LAYERS
    least_one = {name: np.maximum(work[name], 1) for name in ("cin", "cout", "height", "width", "kernel", "stride")}
    cin, cout, groups = least_one["cin"], least_one["cout"], np.maximum(work["groups"], 1)
    rounded = np.ceil(cout / _VECTOR) * _VECTOR
    logs = {name: np.log(value) for name, value in least_one.items()}
    return np.column_stack(
        [
            logs["cin"], np.log(rounded), cin % _ALIGNED != 0, cout % _ALIGNED != 0, np.log(rounded / cout),
            logs["height"], logs["width"], logs["kernel"], logs["stride"], np.log(groups), np.log1p(work["inputs"]),
            np.log1p(work["live"]), [op.act != "NONE" for op in run], added, after, behind, reordered,
            np.log(np.maximum(cout / groups, 1)), (cout / groups) % _VECTOR != 0, cin % _VECTOR != 0,
        ]
    ).astype(float)  # fmt: skip


def _contexts(ops: Sequence[HwOp]) -> list[str]:
    """What every operator is and stands behind, "ADD RELU < CONV_2D! CONV_2D+RELU" (!: nobody else reads that)."""
    made = {op.name: op for op in ops}
    readers = Counter(name for op in ops for name in op.inputs)

    def said(name: str) -> str:
        source = made[name]
        return source.kind + ("" if source.act == "NONE" else f"+{source.act}") + ("!" if readers[name] == 1 else "")

    return [
        f"{op.kind} {op.act} < {' '.join(sorted(said(name) for name in op.inputs)[:2])}"
        for op in ops
        if op.kind != "INPUT"
    ]
