"""How far an estimate may be off: split conformal prediction on measured networks.

    r = measured / modelled cycles of a network, no unit      the model is fitted to none of these networks
    interval = r_(floor(0.05 (n + 1))), r_(ceil(0.95 (n + 1)))      of the n sorted ratios, at 90 %

(Lei et al., Distribution-free predictive inference for regression, JASA 2018; both tails apart, as the error is
skewed.) The networks are those measured on the very configuration where there are at least `ENOUGH`, else those on all
configurations of the same family whose maps can, or cannot, be far. Networks with attention or layer norms, which err
more, stand apart; of these there are fewer, so that all of a family's are taken.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ..hardware import EthosU
from .file_stamps import folder_stamp
from .measured_networks import DATA, calibrations_folder, read_rows
from .npu.machine import machine_of

__all__ = ["ENOUGH", "calibration_stamp", "conformal", "interval", "networks_on"]

ENOUGH = 60
LEVEL = 0.90
WIDER = 4.0  # an operator of a size that was never measured may be off several times as far
_NARROWEST = 5e-4
# Of an accelerator interpolated between two others: real ones interpolated so are within 10 % on 80 % of networks.
BETWEEN = (0.85, 1.15)


def interval(
    target: EthosU,
    composed: bool,
    uncovered: bool,
    compiled_share: float = 0.0,
    kinds: tuple[float, float] = (1.0, 1.0),
) -> tuple[float, float]:
    """(low, high): factors of an estimate that give both ends of its 90 % interval.

    composed: whether the network has attention or layer norms. uncovered: whether it has sizes that were never
    measured. compiled_share: of the estimate's cycles, those the user compiled, which have no error. kinds: the factors
    for its kinds of operators (see `coverage`), the wider of which hold.
    """
    low, high = _bounds(target, composed, calibrations_folder(), calibration_stamp()) if target.is_real else BETWEEN
    low, high = min(low, kinds[0]), max(high, kinds[1])
    width = (WIDER if uncovered and target.is_real else 1.0) * (1 - compiled_share)
    return max(1 - max(width * (1 - low), _NARROWEST), 0.05), 1 + max(width * (high - 1), _NARROWEST)


def calibration_stamp() -> str:
    """Stamp of the user's calibrations: intervals stay the same as long as it does."""
    return folder_stamp(calibrations_folder())


def networks_on(target: EthosU) -> int:
    """How many networks were measured on this very configuration."""
    rows = _rows()
    return int((rows.digest == target.digest).sum()) if len(rows) else 0


def conformal(ratios: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """(low, high) that hold `level` of new ratios exchangeable with these.

    >>> low, high = conformal(np.linspace(0.9, 1.1, 99))
    >>> round(low, 2), round(high, 2)
    (0.91, 1.09)
    """
    n, tail = len(ratios), (1 - level) / 2
    ordered = np.sort(ratios)
    low, high = int(np.floor(tail * (n + 1))), int(np.ceil((1 - tail) * (n + 1)))
    return float(ordered[max(low - 1, 0)]), float(ordered[min(high, n) - 1])


def _rows() -> pd.DataFrame:
    users, shipped = read_rows(calibrations_folder()), read_rows(DATA)
    return pd.concat([shipped[~shipped.digest.isin(users.digest)], users], ignore_index=True) if len(users) else shipped


@lru_cache(maxsize=256)
def _bounds(target: EthosU, composed: bool, folder: Path, stamp: str) -> tuple[float, float]:
    """folder, stamp: the user's calibrations, read again where they differ."""
    rows = _rows()
    rows = rows[rows.composed == composed]
    comparable = rows[rows.digest == target.digest]
    if len(comparable) < ENOUGH:
        family, spills = target.accelerator.rpartition("-")[0], machine_of(target).spills
        of_family = rows[rows.accelerator.str.startswith(family)]
        comparable = of_family if composed else of_family[of_family.spills == spills]
    real = comparable[comparable.family != "sample"]  # random networks are smaller and err otherwise
    return conformal((real.cycles / real.modelled).to_numpy())
