"""Trained candidates that forecasts are calibrated by: one row a trained network.

    data/evidence.parquet       ships with the package, made of the committed ledgers (`benchmarks/forecast.py --ship`)
    <user's folder>/forecast/   what was trained on this machine, one file a network, whole or none

    task, data       name of the task and digest of its data
    network          digest of the graph before the edits
    graph            digest of the graph that was trained
    transforms       JSON list, entries as in a recipe's steps
    seed, epochs     of the training
    pictures         for validation, that every score is of
    unedited_score   of the network before the edits
    score            after training
    and the damages of `features.py`
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import FileFormatError
from ..estimators.file_stamps import folder_stamp
from ..files import home, write_atomic
from .features import DAMAGES

__all__ = ["COLUMNS", "SHIPPED", "evidence", "evidence_folder", "keep", "read_evidence", "write_evidence"]

SHIPPED = Path(str(files(__package__))) / "data" / "evidence.parquet"
_LABELS = ("task", "data", "network", "graph", "transforms")
COLUMNS = (*_LABELS, "seed", "epochs", "pictures", *DAMAGES, "unedited_score", "score")


def evidence_folder() -> Path:
    """Where the trained candidates of this machine are kept."""
    return home() / "forecast"


def keep(row: Mapping[str, Any]) -> Path:
    """Keep a trained candidate; the same training again replaces its file."""
    named = {name: row[name] for name in ("data", "network", "graph", "transforms", "seed", "epochs")}
    digest = sha256(repr(named).encode()).hexdigest()[:16]
    path = evidence_folder() / f"{digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_evidence(pd.DataFrame([row]), path)


def evidence() -> pd.DataFrame:
    """All trained candidates, those that ship first. Raises FileFormatError naming a file that is damaged."""
    kept = _read(evidence_folder(), folder_stamp(evidence_folder()))
    return pd.concat([_shipped(), kept], ignore_index=True) if len(kept) else _shipped()


def write_evidence(rows: pd.DataFrame, path: Path) -> Path:
    """Write rows with the columns `COLUMNS` as Parquet, all of them or nothing."""
    types = {name: str if name in _LABELS else float for name in COLUMNS}
    buffer = BytesIO()
    rows[list(COLUMNS)].astype(types).to_parquet(buffer, compression="zstd", index=False)
    return write_atomic(path, buffer.getvalue())


def read_evidence(path: Path) -> pd.DataFrame:
    """The rows of one file; raises FileFormatError where it is damaged."""
    try:
        rows = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise FileFormatError(f"{path} is no whole table of trained candidates; delete it") from error
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        raise FileFormatError(f"{path} has no column {missing[0]!r}, as trained candidates have; delete it")
    return rows[list(COLUMNS)]


@lru_cache(maxsize=1)
def _shipped() -> pd.DataFrame:
    return read_evidence(SHIPPED)


@lru_cache(maxsize=4)
def _read(folder: Path, stamp: str) -> pd.DataFrame:
    """stamp: of the folder, read again where it differs."""
    tables = [read_evidence(path) for path in sorted(folder.glob("*.parquet"))] if stamp else []
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
