"""What is measured of an edited network before it is trained, and how it says what training will leave lost.

    figures   as measured: of the network as `build()` carries its weights, after least squares ("fitted"), and counts
    damages   u >= 0, without a unit: figures held against the unedited network's; more damage never means less loss

All names stand here; those of the figures are columns of every table of evidence (`evidence.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isnan, nan

import numpy as np
import pandas as pd

__all__ = ["CARRIED", "FIGURES", "FITTED", "SIZES", "Features", "damages", "level_of"]


@dataclass(frozen=True)
class Features:
    """Of an edited network, and of the network before the edits ("unedited").

    score, loss: on the pictures for validation (`Score`). distance: of the answers to training pictures from the
    unedited network's, mean over pictures (`Task.distances`). carried: of the network with its weights as `build()`
    carries them; fitted: after least squares on training pictures, nan where that was not measured. naswot, zico: of
    the architecture (`zero_shot`), nan where a network has no layers for them.
    """

    unedited_score: float
    unedited_loss: float
    unedited_params: float
    unedited_macs: float
    unedited_naswot: float
    unedited_zico: float
    params: float
    macs: float
    naswot: float
    zico: float
    carried_distance: float
    fitted_distance: float = nan
    fitted_loss: float = nan
    fitted_score: float = nan


FIGURES = tuple(figure.name for figure in fields(Features))

# Damages of a network that is not fitted yet, and of one that is.
CARRIED = ("carried_distance", "naswot", "zico", "params", "macs")
FITTED = ("fitted_distance", "fitted_loss", "fitted_score", *CARRIED)

# A size of each damage that matters, as far as is known before any candidate was trained.
SIZES = {
    "carried_distance": 2.0,
    "fitted_distance": 2.0,
    "fitted_loss": 2.0,
    "fitted_score": 0.2,
    "naswot": 0.03,
    "zico": 0.1,
    "params": 0.5,
    "macs": 0.5,
}

_NATS = 0.05  # distances and losses count by their logarithm above this


def level_of(row: Mapping[str, float]) -> tuple[str, ...]:
    """The damages that the figures of a network allow: `FITTED`, or `CARRIED` where it was not fitted."""
    return CARRIED if isnan(row["fitted_distance"]) else FITTED


def damages(rows: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """[n, names] of rows with the columns `FIGURES`; nan where a figure was not measured.

    >>> row = dict.fromkeys(FIGURES, 1.0) | {"macs": 0.5, "fitted_score": 0.75}
    >>> damages(pd.DataFrame([row]), ("fitted_loss", "fitted_score", "macs"))
    array([[0.  , 0.25, 1.  ]])
    """
    columns = {
        "carried_distance": _logarithmic(rows["carried_distance"]),
        "fitted_distance": _logarithmic(rows["fitted_distance"]),
        "fitted_loss": _logarithmic(rows["fitted_loss"] - rows["unedited_loss"]),
        "fitted_score": rows["unedited_score"] - rows["fitted_score"],
        "naswot": (1 - rows["naswot"] / rows["unedited_naswot"]).fillna(0.0),
        "zico": (1 - rows["zico"] / rows["unedited_zico"]).fillna(0.0),
        "params": np.log2(rows["unedited_params"] / rows["params"]),
        "macs": np.log2(rows["unedited_macs"] / rows["macs"]),
    }
    table = np.column_stack([np.asarray(columns[name], float) for name in names])
    return np.asarray(np.maximum(table, 0.0))


def _logarithmic(nats: pd.Series) -> np.ndarray:
    return np.asarray(np.log1p(np.maximum(nats, 0.0) / _NATS))
