"""The user's own compiles: each is kept, and corrects the estimates of networks that share operators with it.

An operator is recognised by its own parameters and those of the operators before and behind it. Where a network has
operators that were compiled on the same configuration before, their cycles are

    modelled now x compiled then / modelled then        sums over all kept compiles that have the operator

and all other operators keep the model's.

    <user's folder>/own/<configuration>-<version of the model>/<digest of the network>.parquet
        one row per operator: key, cycles (compiled), modelled
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import home, write_atomic
from ..hardware import EthosU, Measurement
from ..hardware.lowering import HwOp
from .cycle_model import Modelled
from .file_stamps import folder_stamp

__all__ = ["Correction", "compiles_folder", "keep", "kept_correction", "kept_errors", "kept_stamp"]

_MODEL = 3  # version of the model; raised when its figures move, as compiles kept beside other figures are then wrong


@dataclass(frozen=True)
class Correction:
    """factors: what every operator's modelled cycles are multiplied with. share: of the cycles, compiled before."""

    factors: Sequence[float]
    share: float


def compiles_folder(target: EthosU) -> Path:
    """Where the compiles for a configuration are kept, with what one version of the model said of them."""
    return home() / "own" / f"{target.digest}-{_MODEL}"


def kept_stamp(target: EthosU) -> str:
    """Stamp of the compiles kept for the configuration, by this process or another; "" where there are none."""
    return folder_stamp(compiles_folder(target))


def keep(graph_digest: str, network: Modelled, target: EthosU, measurement: Measurement) -> Path | None:
    """Keep a compile; returns its file, None for one without figures (refused, incomplete)."""
    if not measurement.complete or not measurement.cycles:
        return None
    # the compiler's rows name graph operators; one of these may be several operators here, which share its ratio
    compiled = measurement.ops.groupby("source").op_cycles.sum()
    modelled = pd.Series(network.cycles, [op.sources[0] for op in network.run]).groupby(level=0).sum()
    ratio = compiled.reindex(modelled.index).fillna(0) / modelled.where(modelled > 0)
    rows = pd.DataFrame(
        {
            "key": operator_keys(network.run),
            "cycles": [n * ratio[op.sources[0]] for n, op in zip(network.cycles, network.run, strict=True)],
            "modelled": network.cycles,
        }
    )
    buffer = BytesIO()
    rows[rows.modelled > 0].to_parquet(buffer, compression="zstd", index=False)
    path = compiles_folder(target) / f"{graph_digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(path, buffer.getvalue())


def kept_correction(run: Sequence[HwOp], cycles: Sequence[float], target: EthosU) -> Correction:
    """How the kept compiles correct a network's operators. cycles: modelled, one per operator of `run`."""
    ratios = _ratios(compiles_folder(target), kept_stamp(target))
    if not ratios:
        return Correction((1.0,) * len(run), 0.0)
    factors = [ratios.get(key, 0.0) for key in operator_keys(run)]
    compiled = sum(n for n, factor in zip(cycles, factors, strict=True) if factor)
    return Correction([factor or 1.0 for factor in factors], compiled / max(sum(cycles), 1))


@lru_cache(maxsize=16)
def _ratios(folder: Path, stamp: str) -> Mapping[str, float]:
    """Operator key -> compiled over modelled cycles. stamp: of the folder, read again where it differs."""
    tables = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True)
    sums = rows.groupby("key")[["cycles", "modelled"]].sum()
    return dict(zip(sums.index, sums.cycles / sums.modelled, strict=True))


def kept_errors(target: EthosU) -> pd.DataFrame:
    """How well every network kept for a configuration is predicted, by the model and by the other kept networks.

    Columns: network (digest), cycles, model_error (of the model alone), own_error (corrected by the others), both as
    shares of the cycles; own, the share of the cycles that the others have compiled.
    """
    folder = compiles_folder(target)
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    rows = []
    for name, table in tables.items():
        others = [other for key, other in tables.items() if key != name]
        sums = pd.concat(others).groupby("key")[["cycles", "modelled"]].sum() if others else pd.DataFrame()
        ratio = table.key.map(sums.cycles / sums.modelled) if others else pd.Series(np.nan, table.index)
        cycles, modelled = table.cycles.sum(), table.modelled.sum()
        rows.append(
            {
                "network": name,
                "cycles": cycles,
                "model_error": modelled / cycles - 1,
                "own_error": (table.modelled * ratio.fillna(1)).sum() / cycles - 1,
                "own": table.modelled[ratio.notna()].sum() / modelled,
            }
        )
    return pd.DataFrame(rows, columns=["network", "cycles", "model_error", "own_error", "own"])


def operator_keys(run: Sequence[HwOp]) -> list[str]:
    """A key for every operator, of its parameters and those of its neighbours in the order, and of nothing else."""
    descriptions = [_description(op) for op in run]
    return [
        blake2b("|".join(descriptions[max(i - 1, 0) : i + 2]).encode(), digest_size=12).hexdigest() + f"/{min(i, 1)}"
        for i in range(len(run))
    ]


def _description(op: HwOp) -> str:
    return f"{op.kind}{op.shape}{op.weight}{op.groups}{op.act}{op.stride}{op.dilation}{op.same}{len(op.inputs)}"
