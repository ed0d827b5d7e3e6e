"""Bring your own measurements: what somebody's lab measured, as a CSV or Parquet file.

One row is one measured latency, batch 1:

    name        the network, as emitted (`workbench calibrate --emit`) or any timm model's name
    latency_ms  (or latency_us, latency_s, latency_ns; or `latency` with a column `unit`)
    part        optional: empty for the whole network; else a module path ("blocks.1") or one operator's name, for
                rows of subgraphs and of profilers
    family      optional: networks that are held out together when accuracy is judged; default: timm's source module

A file is data: nothing in it is executed. Graphs of emitted networks stand in `networks/` beside the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from os import PathLike
from pathlib import Path

import pandas as pd

from ..errors import FileFormatError, InputError, unknown
from ..files import nearest_file
from ..graph import Graph
from ..graph.json_document import graph_from_json
from .measurement import Measurement
from .target import Target
from .weight_values import Weights

__all__ = ["UNITS", "TableTarget", "read_table"]

UNITS: Mapping[str, float] = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}  # milliseconds in each
_SUFFIXES = (".csv", ".parquet")
_MOST_ROWS = 1_000_000
_MOST_MS = 3.6e6  # an hour: beyond that a unit is wrong


@dataclass(frozen=True)
class TableTarget(Target):
    """A device known through a table of latencies.

    path: the table. multiple: the number of channels the device likes, where the lab knows it.
    """

    path: str
    multiple: int = 8

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise InputError(f"multiple is {self.multiple}; it must be at least 1 (8 is the default)")
        read_table(self.path)

    @property
    def name(self) -> str:
        """`table:` and the path as given."""
        return f"table:{self.path}"

    @property
    def digest(self) -> str:
        """Of the file's content."""
        return sha256(Path(self.path).read_bytes()).hexdigest()[:16]

    @property
    def compiler(self) -> str:
        return f"table {Path(self.path).name}"

    @property
    def channel_multiple(self) -> int:
        return self.multiple

    @property
    def rows(self) -> pd.DataFrame:
        """name, part, family, latency_ms of every row that holds a latency."""
        return read_table(self.path)

    def graph_of(self, name: str) -> Graph | None:
        """The emitted graph of that name, None where there is no such file beside the table."""
        path = Path(self.path).parent / "networks" / f"{name}.json"
        return graph_from_json(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None

    def missing(self) -> tuple[str, ...]:
        """Emitted networks the table has no whole-network latency for."""
        folder = Path(self.path).parent / "networks"
        rows = self.rows
        measured = set(rows.name[rows.part == ""])
        return tuple(sorted(path.stem for path in folder.glob("*.json") if path.stem not in measured))

    def measure(self, source: bytes | str | PathLike[str], time_limit_s: float = 120.0) -> Measurement:
        """Look a model file up by its name."""
        if isinstance(source, bytes):
            return self._refused("a table knows networks by name, and bytes have none; give the file's path")
        return self._looked_up(Path(source).stem)

    def measure_graph(self, graph: Graph, weights: Weights | None = None, time_limit_s: float = 120.0) -> Measurement:
        """Look a graph up among the emitted ones, by its content."""
        for name in dict.fromkeys(self.rows.name):
            emitted = self.graph_of(name)
            if emitted is not None and emitted.digest == graph.digest:
                return self._looked_up(name)
        return self._refused(f"nobody measured this network ({graph.digest}): it is not in {self.path}")

    def _looked_up(self, name: str) -> Measurement:
        rows = self.rows
        rounds = rows.latency_ms[(rows.name == name) & (rows.part == "")]
        if rounds.empty:
            return self._refused(str(unknown(f"network in {self.path}", name, rows.name)))
        return Measurement(
            "measured", self.name, kind="measured", latency_ms=float(rounds.median()),
            rounds_ms=tuple(map(float, rounds)), compiler=self.compiler,
        )  # fmt: skip

    def _refused(self, reason: str) -> Measurement:
        return Measurement("refused", self.name, reason, kind="measured", compiler=self.compiler)


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """name, part, family ("" where the table has none) and latency_ms of the rows that hold a latency, checked.

    Raises InputError for a missing file, FileFormatError for one that breaks a rule.
    """
    file = nearest_file(Path(path), "table", _SUFFIXES)
    if file.suffix not in _SUFFIXES:
        raise InputError(f"{str(path)!r} is no table: it must end in .csv or .parquet, such as {file.stem}.csv")
    return _read(str(file), file.stat().st_mtime_ns).copy()


@cache
def _read(path: str, changed: int) -> pd.DataFrame:
    """`changed` is the file's time stamp: an edited table is read again."""
    try:
        if path.endswith(".csv"):
            table = pd.read_csv(path, dtype=str, keep_default_na=False, nrows=_MOST_ROWS + 1, skipinitialspace=True)
        else:
            table = pd.read_parquet(path)
    except Exception as error:  # parsers raise dozens of kinds, and all of them mean the same
        raise FileFormatError(f"{path}: not a readable table ({' '.join(str(error).split())[:200]})") from None
    if len(table) > _MOST_ROWS:
        raise FileFormatError(f"{path}: more than {_MOST_ROWS} rows, where at most {_MOST_ROWS} are read")
    table.columns = pd.Index([str(c).strip() for c in table.columns])
    column, factor = _latency_column(table, path)
    if "name" not in table:
        raise FileFormatError(f"{path}: no column 'name'; the first of its columns is {table.columns[0]!r}")
    cells = table[column].astype(str).str.strip()
    filled = ~cells.isin(["", "nan", "None", "<NA>"])
    latency = pd.to_numeric(cells[filled], errors="coerce") * factor[filled]
    bad = latency[~((latency > 0) & (latency <= _MOST_MS))]
    if len(bad):
        row = bad.index[0]
        raise FileFormatError(
            f"{path}, row {row + 2}: the latency {cells[row]!r} must be above 0 and at most an hour, such as 1.25"
        )
    text = {key: table[key].fillna("").astype(str).str.strip() if key in table else "" for key in ("part", "family")}
    read = pd.DataFrame({"name": table["name"].astype(str).str.strip(), **text}, index=table.index)[filled]
    if (read["name"] == "").any():
        raise FileFormatError(f"{path}, row {read.index[read['name'] == ''][0] + 2}: a latency without a name")
    if read.empty:
        raise FileFormatError(f"{path}: no row holds a latency; fill in the column {column!r}")
    return read.assign(latency_ms=latency).reset_index(drop=True)


def _latency_column(table: pd.DataFrame, path: str) -> tuple[str, pd.Series]:
    """The column that holds latencies and the milliseconds one of it means, per row."""
    names = [f"latency_{unit}" for unit in UNITS]
    columns = [c for c in names if c in table]
    if len(columns) > 1 or (columns and "latency" in table):
        raise FileFormatError(f"{path}: two columns of latencies, {', '.join([*columns, 'latency'][:2])}; keep one")
    if columns:
        return columns[0], pd.Series(UNITS[columns[0].rpartition("_")[2]], index=table.index)
    if "latency" not in table:
        nearest = "latency_ms" if "unit" not in table else "latency"
        raise FileFormatError(
            f"{path}: no column of latencies; it must be one of {', '.join(names)}, such as {nearest!r}"
        )
    if "unit" not in table:
        raise FileFormatError(
            f"{path}: the column 'latency' says no unit; call it 'latency_ms', or add a column 'unit'"
        )
    units = table["unit"].astype(str).str.strip()
    for row, unit in units.items():
        if unit not in UNITS:
            error = unknown("unit", unit, UNITS)
            raise FileFormatError(f"{path}, row {int(str(row)) + 2}: {error}")
    return "latency", units.map(UNITS)
