"""Calibration of a device: measure networks on it, learn a model, keep it in the user's folder."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...errors import WorkbenchError
from ...hardware import TableTarget, Target
from ..file_stamps import file_stamp
from .accelerator_model import AcceleratorModel, fit_accelerator
from .held_out import Learn, held_out
from .lab_table import rows_of_table
from .measuring import Report, cache_folder, measure
from .profiled_model import ProfiledModel, fit_profiled
from .row import Row
from .totals_model import TotalsModel, fit_totals

__all__ = ["NETWORKS", "calibrate", "evidence", "is_calibrated", "load_model", "model_of"]

NETWORKS = 96  # measured and learned from within ten minutes on two cores
Model = TotalsModel | AcceleratorModel | ProfiledModel


def is_calibrated(target: Target) -> bool:
    """Whether this user has a model of this very configuration."""
    return _model_path(target).is_file()


def model_of(target: Target) -> Model:
    """The model `calibrate` kept; WorkbenchError where there is none."""
    path = _model_path(target)
    stamp = file_stamp(path)
    if not stamp:
        raise WorkbenchError(f"{target.name} is not calibrated; run `workbench calibrate {target.name}` first")
    return load_model(path, stamp)


def evidence(target: Target) -> str:
    """Stamp of the file an estimate is made from, the model; "" where the device is not calibrated."""
    return file_stamp(_model_path(target))


def calibrate(target: Target, networks: int = NETWORKS, report: Report | None = None) -> Path:
    """Measure networks on the target (a table: read its rows), fit, keep the model; returns its path.

    A table may be of an Ethos-U accelerator, and a runtime may have profiled the networks: where the model of that
    explains networks held out better than the model of totals alone, it is taken. A run that was stopped goes on where
    it was. report(count, networks, name) is called after every network.
    """
    learn: Callable[[Target, Sequence[Row]], Model | None]
    match target:
        case TableTarget():
            rows, learn = rows_of_table(target), fit_accelerator
        case _:
            rows, learn = measure(target, networks, cache_folder(target), report), fit_profiled
    model: Model = fit_totals(target, rows)
    ratio = _ratio(partial(fit_totals, target), rows)
    if (other := learn(target, rows)) is not None:
        other_ratio = _ratio(partial(learn, target), rows)
        if len(other_ratio) and np.abs(other_ratio - 1).mean() < np.abs(ratio - 1).mean():
            model, ratio = other, other_ratio
    return model.with_errors(ratio).save(_model_path(target))


def _ratio(learn: Learn, rows: Sequence[Row]) -> np.ndarray:
    """Predicted over measured of every network held out, those without a prediction left out."""
    ratio = held_out(learn, rows)
    return ratio[np.isfinite(ratio)]


def _model_path(target: Target) -> Path:
    return cache_folder(target) / "model.json"


@lru_cache(maxsize=16)
def load_model(path: Path, stamp: str) -> Model:
    """The model in a file. stamp: of the file, which is read again where it differs."""
    text = path.read_text(encoding="utf-8")
    if text.startswith('{"profile"'):
        return ProfiledModel.load(path)
    return AcceleratorModel.load(path) if '"base"' in text else TotalsModel.load(path)
