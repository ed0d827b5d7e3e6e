"""What is measured of an edited network before it is trained, and how it says what training will leave lost.

    figures   as measured, of the edited network and of the unedited one; columns of all evidence (`evidence.py`)
    damages   the same held against each other, without a unit; more damage never means less loss

Chosen on ledgers of trained candidates (`benchmarks/forecast.py`). What training does not bring back are layers that
are gone and narrowed ones: ZiCo, a sum over layers of the logarithms of sums over weights, counts both, NASWOT the
activations. Of two networks equal in that, the one with more arithmetic has more dense layers whose weights come from
least squares, and lacks more. What an edit does to the answers before anything is trained says little beside these; it
is there for edits that leave all layers as they are.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

__all__ = ["DAMAGES", "FIGURES", "SIZES", "Features", "damages"]

DAMAGES = ("zico", "naswot", "macs", "distance")

# A size of each damage that matters, as far as is known before any candidate was trained.
SIZES = {"zico": 0.1, "naswot": 0.03, "macs": 0.5, "distance": 2.0}

_NATS = 0.05  # distances count by their logarithm above this


@dataclass(frozen=True)
class Features:
    """Of an edited network, and of the network before the edits ("unedited").

    score: on the pictures for validation, of the unedited network. macs: multiply-accumulates. naswot, zico: of the
    architecture (`zero_shot`); nan where a network has no layers for them. distance: of the answers to training
    pictures from the unedited network's, weights as `build()` carries them, mean over pictures (`Task.distances`).
    """

    unedited_score: float
    unedited_macs: float
    unedited_naswot: float
    unedited_zico: float
    macs: float
    naswot: float
    zico: float
    distance: float

    @property
    def of_unedited(self) -> "Features":
        """Those of the network before the edits."""
        macs, naswot, zico = self.unedited_macs, self.unedited_naswot, self.unedited_zico
        return replace(self, macs=macs, naswot=naswot, zico=zico, distance=0.0)


FIGURES = tuple(figure.name for figure in fields(Features))


def damages(rows: pd.DataFrame, names: tuple[str, ...] = DAMAGES) -> np.ndarray:
    """[n, names] of rows with the columns `FIGURES`. zico, naswot: share that is gone; macs: doublings; distance: its
    logarithm. What is gained counts below zero. Scores that a network has no layers for are taken to stay.

    >>> row = dict.fromkeys(FIGURES, 1.0) | {"macs": 2.0, "zico": 0.75, "distance": 0.0}
    >>> damages(pd.DataFrame([row]))
    array([[0.25, 0.  , 1.  , 0.  ]])
    """
    columns = {
        "zico": (1 - rows["zico"] / rows["unedited_zico"]).fillna(0.0),
        "naswot": (1 - rows["naswot"] / rows["unedited_naswot"]).fillna(0.0),
        "macs": np.log2(rows["macs"] / rows["unedited_macs"]),
        "distance": np.log1p(rows["distance"] / _NATS),
    }
    return np.column_stack([np.asarray(columns[name], float) for name in names])
