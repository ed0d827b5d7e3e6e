"""The user's own compiles: each is kept, and corrects the estimates of networks that share operators with it.

    r = compiled / modelled cycles of an operator, over all kept compiles that have it        no unit

An operator is the same where all its parameters are, those of the eight operators before and behind it, and its
modelled cycles: the same work in the same surroundings. It takes as many times its modelled cycles as it did there, r.
An operator is like another where its parameters are, and those of the one before and the one behind it. What the
compiler made of it depends on surroundings that may be others here, so that it takes r no further than `LIKE`: a
factor that lies beyond was a matter of that network (a transpose of its input took 21 times as long as modelled). The
interval reaches from the least r among the kept compiles to the largest. All other operators keep the model's cycles.

    <user's folder>/own/<configuration>-<version of the model>/<digest of the network>.parquet
        one row per operator: key, surroundings, cycles (compiled), modelled
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..files import home, write_atomic
from ..hardware import EthosU, Measurement
from ..hardware.lowering import HwOp
from .cycle_model import Modelled
from .file_stamps import folder_stamp

__all__ = ["LIKE", "Correction", "compiles_folder", "keep", "kept_correction", "kept_errors", "kept_stamp"]

# Of operators in other networks. Where single kinds were compared with the compiler, none that the model has a rule for
# was missed by more (see `coverage`, which allows the same to kinds that were never compared).
LIKE = (0.5, 2.0)
_MODEL = 4  # version of the model and of the keys; raised when its figures move: compiles kept beside others are wrong
_NEIGHBOURS, _SURROUNDINGS = 1, 8  # operators on either side that tell a like one, and the same one


@dataclass(frozen=True)
class Correction:
    """factors: what every operator's modelled cycles are multiplied with. share: of the corrected cycles, those of
    operators that were compiled before, the same or like ones within `LIKE`; same: those of the same ones, which have
    no error. low, high: factors of the corrected cycles that give what they would be with the least and with the
    largest ratio that kept compiles have for every operator.
    """

    factors: Sequence[float] = ()
    share: float = 0.0
    same: float = 0.0
    low: float = 1.0
    high: float = 1.0


class _Ratio(NamedTuple):
    """Compiled over modelled cycles of an operator: of all compiles together, the least, the largest."""

    pooled: float
    least: float
    largest: float


_AS_MODELLED = _Ratio(1.0, 1.0, 1.0)


class _Ratios(NamedTuple):
    """Of the same operators by surroundings, of like ones by key."""

    same: Mapping[str, _Ratio]
    like: Mapping[str, _Ratio]


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
    rows = _rows(network.run, network.cycles)
    rows["cycles"] = [n * ratio[op.sources[0]] for n, op in zip(network.cycles, network.run, strict=True)]
    buffer = BytesIO()
    rows[rows.modelled > 0].to_parquet(buffer, compression="zstd", index=False)
    path = compiles_folder(target) / f"{graph_digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(path, buffer.getvalue())


def kept_correction(run: Sequence[HwOp], cycles: Sequence[float], target: EthosU) -> Correction:
    """How the kept compiles correct a network's operators. cycles: modelled, one per operator of `run`."""
    ratios = _kept_ratios(compiles_folder(target), kept_stamp(target))
    if not ratios.like:
        return Correction()
    return _correction(_rows(run, cycles), ratios)


def _correction(rows: pd.DataFrame, ratios: _Ratios) -> Correction:
    """rows: key, surroundings, modelled; one per operator."""
    factors = []
    corrected = compiled = same = least = largest = 0.0
    for key, surroundings, modelled in zip(rows.key, rows.surroundings, rows.modelled, strict=True):
        like = ratios.like.get(key, _AS_MODELLED)
        ratio = ratios.same.get(surroundings, like)
        factor = ratio.pooled if ratio is not like else min(max(ratio.pooled, LIKE[0]), LIKE[1])
        factors.append(factor)
        corrected += modelled * factor
        least += modelled * min(factor, ratio.least)
        largest += modelled * max(factor, ratio.largest)
        if ratio is not like:
            same += modelled * factor
        if ratio is not _AS_MODELLED and factor == ratio.pooled:
            compiled += modelled * factor
    total = max(corrected, 1.0)
    return Correction(factors, compiled / total, same / total, least / total, largest / total)


@lru_cache(maxsize=16)
def _kept_ratios(folder: Path, stamp: str) -> _Ratios:
    """stamp: of the folder, read again where it differs."""
    return _ratios([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def _ratios(tables: Sequence[pd.DataFrame]) -> _Ratios:
    """What the tables of networks say of their operators."""
    if not tables:
        return _Ratios({}, {})
    rows = pd.concat([table.assign(network=k) for k, table in enumerate(tables)], ignore_index=True)
    return _Ratios(_ratios_by(rows, "surroundings"), _ratios_by(rows, "key"))


def _ratios_by(rows: pd.DataFrame, column: str) -> Mapping[str, _Ratio]:
    sums = rows.groupby([column, "network"])[["cycles", "modelled"]].sum()
    each = (sums.cycles / sums.modelled).groupby(level=0)
    pooled = sums.groupby(level=0).sum()
    figures = zip(pooled.cycles / pooled.modelled, each.min(), each.max(), strict=True)
    return {name: _Ratio(*ratios) for name, ratios in zip(pooled.index, figures, strict=True)}


def kept_errors(target: EthosU) -> pd.DataFrame:
    """How well every network kept for a configuration is predicted, by the model and by the other kept networks.

    Columns: network (digest), cycles, model_error (of the model alone), own_error (corrected by the others), both as
    shares of the cycles; own, the share of the cycles that the others have compiled.
    """
    folder = compiles_folder(target)
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    rows = []
    for name, table in tables.items():
        correction = _correction(table, _ratios([other for key, other in tables.items() if key != name]))
        cycles, modelled = table.cycles.sum(), table.modelled.sum()
        rows.append(
            {
                "network": name,
                "cycles": cycles,
                "model_error": modelled / cycles - 1,
                "own_error": (table.modelled * correction.factors).sum() / cycles - 1,
                "own": correction.share,
            }
        )
    return pd.DataFrame(rows, columns=["network", "cycles", "model_error", "own_error", "own"])


def _rows(run: Sequence[HwOp], cycles: Sequence[float]) -> pd.DataFrame:
    """One row per operator: key, surroundings, modelled."""
    shapes = {op.name: op.shape for op in run}
    descriptions = [_description(op, [shapes.get(name, "input") for name in op.inputs]) for op in run]
    return pd.DataFrame(
        {
            "key": [_digest(descriptions, i, _NEIGHBOURS) for i in range(len(run))],
            "surroundings": [
                f"{_digest(descriptions, i, _SURROUNDINGS)}/{modelled:.0f}" for i, modelled in enumerate(cycles)
            ],
            "modelled": [float(modelled) for modelled in cycles],
        }
    )


def _digest(descriptions: Sequence[str], i: int, neighbours: int) -> str:
    """Of an operator and its neighbours in the order, and of nothing else; it says which of them it is."""
    first = max(i - neighbours, 0)
    text = "|".join(descriptions[first : i + neighbours + 1])
    return blake2b(text.encode(), digest_size=12).hexdigest() + f"/{i - first}"


def _description(op: HwOp, reads: Sequence[object]) -> str:
    """All that an operator does; reads: shapes of its inputs, "input" for the network's."""
    constant = "" if op.const is None else op.const[0]
    return (
        f"{op.kind}{reads}{op.shape}{op.weight}{op.groups}{op.act}{op.stride}{op.dilation}{op.kernel}{op.same}"
        f"{constant}{op.const_first}{op.extra}{op.real}"
    )
