"""The user's own compiles: each is kept, and sharpens the estimates of networks near it.

An operator is recognised by what it is and by what stands before and behind it. Where a network has operators that
were compiled on the same configuration before, their cycles are the model's times what the compiler said over what
the model had said; the other operators keep the model's.

    <user's folder>/own/<configuration>-<version of the model>/<digest of the network>.parquet
        one row per operator: key, cycles (compiled), modelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..files import home, write_atomic
from ..hardware import EthosU, Measurement
from ..hardware.lowering import HwOp
from .file_stamps import folder_stamp

if TYPE_CHECKING:
    from .ethos_u import Modelled

__all__ = ["Factors", "keep", "kept_stamp", "own_factors", "own_folder", "refresh"]


_MODEL = 2  # to be raised when the model's figures move: what was kept beside the old ones is then left alone


@dataclass(frozen=True)
class Factors:
    """values: what to multiply every operator's modelled cycles with. share: of the cycles, compiled before."""

    values: Sequence[float]
    share: float


def own_folder(target: EthosU) -> Path:
    """Where the compiles for a configuration are kept, with what one version of the model said of them."""
    return home() / "own" / f"{target.digest}-{_MODEL}"


def kept_stamp(target: EthosU) -> str:
    """Stamp of the compiles kept for the configuration, by this process or another; "" where there are none."""
    return folder_stamp(own_folder(target))


def keep(graph_digest: str, found: Modelled, target: EthosU, measurement: Measurement) -> Path | None:
    """Keep a compile; returns its file, None for one that says nothing (refused, incomplete)."""
    if not measurement.complete or not measurement.cycles:
        return None
    # the compiler's rows name graph operators; one of these may be several operators here, which share its ratio
    compiled = measurement.ops.groupby("source").op_cycles.sum()
    said = pd.Series(found.cycles, [op.sources[0] for op in found.run]).groupby(level=0).sum()
    ratio = compiled.reindex(said.index).fillna(0) / said.where(said > 0)
    rows = pd.DataFrame(
        {
            "key": operator_keys(found.run),
            "cycles": [n * ratio[op.sources[0]] for n, op in zip(found.cycles, found.run, strict=True)],
            "modelled": found.cycles,
        }
    )
    buffer = BytesIO()
    rows[rows.modelled > 0].to_parquet(buffer, compression="zstd", index=False)
    path = own_folder(target) / f"{graph_digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(path, buffer.getvalue())


def own_factors(found: Modelled, target: EthosU) -> Factors:
    """What the user's own compiles say of a network's operators."""
    ratios = _ratios(own_folder(target), kept_stamp(target))
    if not ratios:
        return Factors((1.0,) * len(found.run), 0.0)
    factors = [ratios.get(key, 0.0) for key in operator_keys(found.run)]
    known = sum(n for n, factor in zip(found.cycles, factors, strict=True) if factor)
    return Factors([factor or 1.0 for factor in factors], known / max(sum(found.cycles), 1))


@lru_cache(maxsize=16)
def _ratios(folder: Path, stamp: str) -> Mapping[str, float]:
    """Operator key -> compiled over modelled cycles. stamp: of the folder, read again where it differs."""
    tables = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True)
    sums = rows.groupby("key")[["cycles", "modelled"]].sum()
    return dict(zip(sums.index, sums.cycles / sums.modelled, strict=True))


def refresh(target: EthosU) -> pd.DataFrame:
    """Every network kept for a configuration, and how well it is predicted: network (digest), cycles, model_error (of
    the model alone), own_error (with the other kept networks), as shares of the cycles; `own` is their share.
    """
    folder = own_folder(target)
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    rows = []
    for name, table in tables.items():
        others = [other for key, other in tables.items() if key != name]
        known = pd.concat(others).groupby("key")[["cycles", "modelled"]].sum() if others else pd.DataFrame()
        ratio = table.key.map(known.cycles / known.modelled) if others else pd.Series(np.nan, table.index)
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
    """A name for every operator that says what it is and what its neighbours in the order are, no more."""
    plain = [_content(op) for op in run]
    return [
        blake2b("|".join(plain[max(i - 1, 0) : i + 2]).encode(), digest_size=12).hexdigest() + f"/{min(i, 1)}"
        for i in range(len(run))
    ]


def _content(op: HwOp) -> str:
    return f"{op.kind}{op.shape}{op.weight}{op.groups}{op.act}{op.stride}{op.dilation}{op.same}{len(op.inputs)}"
