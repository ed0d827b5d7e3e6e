"""Tables of networks measured on Ethos-U configurations, with the model's figures beside the measured ones.

    data/<target>.parquet           ship with the package: the eleven accelerators with their defaults, and
    data/ethos-u.parquet            networks on configurations drawn at random
    <user's folder>/calibrations/   what `workbench calibrate` measured on this machine

One row is one network on one configuration:

    network, family     timm's name and source module; "sample<i>" and "sample" for random ones
    digest, target      of the configuration; accelerator, spills (whether maps can be far): what it is
    composed            whether it has attention or layer norms
    macs, cycles, sram_bytes, dram_bytes                           measured
    modelled, modelled_sram_bytes, modelled_dram_bytes             the same by the model
"""

from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import home, write_atomic
from ..graph import Graph
from ..hardware import EthosU, Measurement
from .cycle_model import Modelled
from .file_stamps import folder_stamp
from .npu.machine import machine_of

__all__ = ["DATA", "calibrations_folder", "read_rows", "row_of", "write_rows"]

DATA = Path(str(files(__package__))) / "data"
_MOST_CYCLES = 2**50  # cycles; the compiler now and then counts below zero and wraps around


def calibrations_folder() -> Path:
    """The folder of the calibrations that the user made on this machine."""
    return home() / "calibrations"


def row_of(
    name: str, family: str, graph: Graph, target: EthosU, measurement: Measurement, network: Modelled
) -> dict[str, Any] | None:
    """The row of a network; None where it did not compile whole or its cycles wrapped around."""
    if not measurement.complete or not measurement.cycles or measurement.cycles > _MOST_CYCLES:
        return None
    if measurement.ops.op_cycles.min() < 0:
        return None
    return {
        "network": name,
        "family": family,
        "digest": target.digest,
        "target": target.name,
        "accelerator": target.accelerator,
        "spills": machine_of(target).spills,
        "composed": network.composed,
        "macs": graph.macs,
        "cycles": measurement.cycles,
        "sram_bytes": measurement.sram_bytes or 0,
        "dram_bytes": measurement.dram_bytes or 0,
        "modelled": sum(network.cycles),
        "modelled_sram_bytes": network.sram_bytes,
        "modelled_dram_bytes": network.dram_bytes,
    }


def write_rows(rows: pd.DataFrame, path: Path) -> Path:
    """Write rows as Parquet, all of them or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    rows.to_parquet(buffer, compression="zstd", index=False)
    return write_atomic(path, buffer.getvalue())


def read_rows(folder: Path) -> pd.DataFrame:
    """All rows in a folder's files."""
    return _read(folder, folder_stamp(folder))


@lru_cache(maxsize=8)
def _read(folder: Path, stamp: str) -> pd.DataFrame:
    """stamp: of the folder, read again where it differs."""
    tables = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"digest": [], "cycles": []})
