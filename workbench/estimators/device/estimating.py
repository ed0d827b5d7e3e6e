"""Graph -> Estimate on a device that was measured: priced by its model, kept in the user's cache."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...errors import WorkbenchError
from ...graph import Graph, live_ranges
from ...hardware import EthosU, OnnxRuntimeCpu, TableTarget, Target
from ...hardware.lowering import lower, unsupported
from .. import ethos_u
from ..estimate import Detail, Estimate
from ..file_stamps import file_stamp
from .known import KnownModel, fit_known
from .measuring import Report, cache_folder, measure, rows_of_table
from .model import DeviceModel, Learn, Row, fit, held_out
from .profiled import ProfiledModel, fit_profiled
from .roofline import Batch, bounds
from .work import work_of

__all__ = ["NETWORKS", "calibrate", "estimate", "evidence", "is_calibrated", "model_of"]

NETWORKS = 96  # measured and learned from within ten minutes on two cores
Model = DeviceModel | KnownModel | ProfiledModel


def is_calibrated(target: Target) -> bool:
    """Whether this user has a model of this very configuration."""
    return _model_path(target).is_file()


def model_of(target: Target) -> Model:
    """The model `calibrate` kept; WorkbenchError where there is none."""
    path = _model_path(target)
    stamp = file_stamp(path)
    if not stamp:
        raise WorkbenchError(f"{target.name} is not calibrated; run `workbench calibrate {target.name}` first")
    return _loaded(path, stamp)


def evidence(target: Target) -> str:
    """Stamp of the file an estimate is made from, the model; "" where the device is not calibrated."""
    return file_stamp(_model_path(target))


def calibrate(target: Target, networks: int = NETWORKS, report: Report | None = None) -> Path:
    """Measure networks on the target (a table: read its rows), fit, keep the model; returns its path.

    What stands behind a table may be an accelerator that is known, and a runtime may have profiled what it ran: where
    the model of that explains networks held out better than one of totals alone, it is taken. A run that was stopped
    goes on where it was. report(done, networks, name) is called after every network.
    """
    folder = cache_folder(target)
    rows = rows_of_table(target) if isinstance(target, TableTarget) else measure(target, networks, folder, report)
    model: Model = fit(target, rows)
    ratio = _ratio(partial(fit, target), rows)
    learn = fit_known if isinstance(target, TableTarget) else fit_profiled
    if (other := learn(target, rows)) is not None:
        theirs = _ratio(partial(learn, target), rows)
        if len(theirs) and np.abs(theirs - 1).mean() < np.abs(ratio - 1).mean():
            model, ratio = other, theirs
    return model.with_errors(ratio).save(_model_path(target))


def _ratio(learn: Learn, rows: Sequence[Row]) -> np.ndarray:
    ratio = held_out(learn, rows)
    return ratio[np.isfinite(ratio)]


def estimate(graph: Graph, target: Target) -> Estimate:
    """What the network is predicted to cost on a calibrated device.

    `sram_bytes` and `dram_bytes` have no meaning here and are 0. Operators no rule is known for are named in
    `cpu_ops` and make the estimate incomplete. Raises WorkbenchError for a device without calibration.
    """
    model = model_of(target)
    if isinstance(model, KnownModel):
        return _corrected(graph, target, model)
    work, ops = work_of(graph), lower(graph)
    spent = model.predict_ops(graph)
    prices = model.base if isinstance(model, ProfiledModel) else model
    held = bounds(np.array(prices.rates), Batch((work,), prices.grid))
    limit = dict(zip(reversed(work.sources), reversed(held), strict=True))  # the first of a group wins
    size = 4 if isinstance(target, OnnxRuntimeCpu) and target.dtype == "float32" else 1
    total = sum(spent.values())
    low, high = model.interval
    by_bound: dict[str, float] = {}
    for name, ms in spent.items():
        by_bound[limit.get(name, "compute")] = by_bound.get(limit.get(name, "compute"), 0.0) + ms
    timeline = partial(_timeline, graph, size)
    return Estimate(
        latency_ms=total,
        latency_interval_ms=(total * low, total * high),
        peak_activation_bytes=max((live for _, live, _ in timeline()), default=0),
        sram_bytes=0,
        dram_bytes=0,
        weight_bytes=graph.params * size,
        params=graph.params,
        macs=graph.macs,
        bound=max(by_bound, key=by_bound.__getitem__, default="compute"),
        cpu_ops=unsupported(ops),
        target=target.name,
        target_digest=target.digest,
        compiler=target.compiler,
        detail=Detail(graph, spent, limit, timeline),
    )


def _corrected(graph: Graph, target: Target, model: KnownModel) -> Estimate:
    """The estimate for the accelerator behind a table; where it does not take all operators, as far as it goes."""
    found = ethos_u.alone(graph, EthosU(model.base))
    spent = model.predict_ops(graph)
    total, (low, high) = sum(spent.values()), model.interval
    return replace(
        found, latency_ms=total, latency_interval_ms=(total * low, total * high), target=target.name,
        target_digest=target.digest, compiler=target.compiler, detail=replace(found.detail, latency_ms=spent),
    )  # fmt: skip


def _timeline(graph: Graph, size: int) -> list[tuple[str, int, tuple[str, ...]]]:
    """What lives while every operator runs, each tensor in a place of its own."""
    ranges = live_ranges(graph)
    found = []
    for i, op in enumerate(graph.ops):
        alive = tuple(name for name, (start, end) in ranges.items() if start <= i <= end)
        found.append((op.name, size * sum(graph.by_name[name].elements for name in alive), alive))
    return found


def _model_path(target: Target) -> Path:
    return cache_folder(target) / "model.json"


@lru_cache(maxsize=16)
def _loaded(path: Path, stamp: str) -> Model:
    """stamp: of the file, read again where it differs."""
    text = path.read_text(encoding="utf-8")
    if text.startswith('{"profile"'):
        return ProfiledModel.load(path)
    return KnownModel.load(path) if '"base"' in text else DeviceModel.load(path)
